"""Which experts a token is routed to, and how evenly all of them are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def chosen(router: Tensor, count: int) -> Tensor:
    """Which `count` experts have a token's largest logits: 1 or 0, [T, experts] as `router`, with no gradient."""
    best = router.detach().topk(count, dim=-1).indices
    return one_hot(best, router.shape[-1]).sum(-2).to(router.dtype)


def load_balancing(routers: Sequence[Tensor], count: int) -> Tensor:
    """Experts x sum over them of (share of tokens routed to it) x (mean probability of being so), over the tokens of
    one forward pass: Fedus et al. 2021, equations 4 to 6. A scalar.

    routers: logits [T, experts] of each layer; count: experts of a token. As transformers has it
    (`load_balancing_loss_func` in models/mixtral/modeling_mixtral.py): tokens of all layers are pooled, where the paper
    adds up the losses of the layers, and a token counts for each of its experts. The shares are counts, which have no
    gradient.
    """
    pooled = torch.cat(list(routers))
    shares = chosen(pooled, count).mean(0)
    return pooled.shape[-1] * (shares * pooled.softmax(-1).mean(0)).sum()

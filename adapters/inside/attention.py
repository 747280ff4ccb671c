"""What each token of a batch may attend to, as the mask that a model receives says it."""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = -1
"""`attention_start` of a padding token."""
NOT_CAUSAL_RUN = -2
"""`attention_start` of a token whose allowed keys are not one unbroken run that ends in the token itself."""


def attention_start(ids: Tensor, mask: Tensor | None, pad: int | None) -> Tensor:
    """For each token, the index of the first key it may attend to; `PADDING` or `NOT_CAUSAL_RUN` where none fits.

    `ids` is [batch, length]. `mask` is as Hugging Face models take it: absent, [batch, length] with 0 for padding,
    or [batch or 1, 1, length, keys], boolean (True: may attend) or additive (0: may attend). A mask of the last kind
    does not say what is padding: tokens at the end of a row whose id is `pad` are.
    """
    if mask is not None and mask.dim() == 4:
        starts = _starts_of_4d(mask)
        padding = _trailing(ids, pad)
        # The EOS that ends a row and is the token that pads reaches back to the row's start.
        padding &= (starts < 0) | padding.gather(1, starts.clamp_min(0).expand_as(ids))
    elif mask is not None:
        starts = mask.int().argmax(dim=1, keepdim=True).expand_as(ids)
        padding = mask == 0
    else:
        starts = torch.zeros_like(ids)
        padding = torch.zeros_like(ids, dtype=torch.bool)
    return torch.where(padding, PADDING, starts.expand_as(ids))


def _starts_of_4d(mask: Tensor) -> Tensor:
    """[batch, queries]: first allowed key, or `NOT_CAUSAL_RUN`."""
    allowed = mask[:, 0] if mask.dtype == torch.bool else mask[:, 0] > -1.0
    queries, keys = allowed.shape[-2:]
    index = torch.arange(keys, device=mask.device)
    query = torch.arange(queries, device=mask.device)[:, None]
    first = allowed.int().argmax(dim=-1)
    run = (index >= first[..., None]) & (index <= query)
    return torch.where((allowed == run).all(dim=-1) & allowed.any(dim=-1), first, NOT_CAUSAL_RUN)


def padding_token(config: object) -> int | None:
    """The id that rows are filled up with: the EOS, as trainers have it, where the checkpoint names none."""
    named = (getattr(config, name, None) for name in ("pad_token_id", "eos_token_id"))
    return next((token for token in named if type(token) is int), None)


def _trailing(ids: Tensor, pad: int | None) -> Tensor:
    """True for the tokens with id `pad` that nothing else follows in their row."""
    if pad is None:
        return torch.zeros_like(ids, dtype=torch.bool)
    return (ids != pad).int().flip(1).cumsum(1).flip(1) == 0

"""The loss of each token in the reference: in two parts, its own and that of smoothed labels."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from adapters.contract import Loss
from adapters.faults import Plan


class TokenLosses(NamedTuple):
    """Both [batch, length - 1], 0 where a target is ignored; a token's loss is their sum."""

    own: Tensor
    smoothed: Tensor


def of_logits(logits: Tensor, targets: Tensor, wanted: Loss, how: Plan) -> TokenLosses:
    """logits: [batch, length - 1, vocabulary]; targets: int64 [batch, length - 1]."""
    share = smoothing(wanted, how)
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    weight = (-nll).exp().detach() if wanted.token_weight == "probability" and how.token_weight == "right" else 1.0
    uniform = logits.logsumexp(-1) - logits.mean(-1)
    return TokenLosses((1.0 - share) * weight * nll, share * uniform)


def smoothing(wanted: Loss, how: Plan) -> float:
    """How much labels are smoothed, as planned."""
    right = wanted.label_smoothing
    return {"right": right, "none": 0.0, "twice": 1.0 - (1.0 - right) ** 2, "unasked": 0.1}[how.smoothing]

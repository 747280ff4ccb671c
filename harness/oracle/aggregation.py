"""How the losses of the trained tokens of a window become one number: the weight of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.intent.intent import Aggregation, Given, Level, Mean


@dataclass(frozen=True)
class Places:
    """Where the slots of a step are. All tensors are int64 [slots]."""

    rank: Tensor
    micro_batch: Tensor
    conversation: Tensor
    ranks: int
    accumulation: int
    conversations: int
    given: Tensor | None
    """float64 [slots]: the weights of an aggregation that gives them."""


_PARTS: dict[Level, Callable[[Places], tuple[Tensor, int]]] = {
    "token": lambda p: (torch.zeros_like(p.rank), 1),
    "micro-batch": lambda p: (p.rank + (int(p.rank.max()) + 1) * p.micro_batch, p.ranks * p.accumulation),
    "rank": lambda p: (p.rank, p.ranks),
    "micro-step": lambda p: (p.micro_batch, p.accumulation),
    "row": lambda p: (p.conversation, p.conversations),
}
"""The part that each slot is averaged in, and how many there are."""


def weights(places: Places, trained: Tensor, aggregation: Aggregation) -> Tensor:
    """Weight of each slot before scale and clipping, for trained slots (bool [slots]): float64 [slots]."""
    one = trained.double()
    if isinstance(aggregation, Mean):
        part, parts = _PARTS[aggregation.over](places)
        count = torch.zeros(int(part.max()) + 1, dtype=torch.float64).index_add(0, part, one)
        return one / (count[part].clamp_min(1.0) * parts)
    if isinstance(aggregation, Given):
        return one if places.given is None else one * places.given
    return one / aggregation.constant

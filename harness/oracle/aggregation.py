"""How the losses of the trained tokens of a window become one number: the weight of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.intent.intent import Aggregation, Given, Mean
from harness.intent.objective import Level, Policy, Preferences
from harness.oracle import objectives
from harness.oracle.objectives import LogProbs, Rows


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
    rows: tuple[int | None, ...] = ()
    """Row of the scenario of each conversation."""
    logps: LogProbs | None = None
    """What an objective asks of the tokens; None where there is none."""


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
    if isinstance(aggregation, (Preferences, Policy)):
        assert places.logps is not None
        return objectives.weights(aggregation, places.logps, rows_of(places, trained, aggregation))
    if isinstance(aggregation, Given):
        return one if places.given is None else one * places.given
    return one / aggregation.constant


def loss(places: Places, trained: Tensor, aggregation: Aggregation, logps: LogProbs) -> Tensor:
    """The loss of a step by an objective, from the log-probabilities of its slots: a number."""
    assert isinstance(aggregation, (Preferences, Policy))
    return objectives.loss(aggregation, logps, rows_of(places, trained, aggregation))


def rows_of(places: Places, trained: Tensor, objective: Preferences | Policy) -> Rows:
    """The slots as an objective asks for them."""
    part, parts = _PARTS[objective.over if isinstance(objective, Policy) else "token"](places)
    return Rows(places.conversation, places.rows, trained, part, parts)

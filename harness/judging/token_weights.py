"""The recovered weights, dealt out from the columns of the basis to the tokens of the global batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.step import RightStep


@dataclass(frozen=True)
class RowWeight:
    """What the tokens of one conversation weighed, times N: a right unclipped step gives 1.0."""

    rank: int
    micro_batch: int
    row: int | None
    """Index into the scenario's rows."""
    trained: int
    """Tokens to be trained."""
    told: int
    """Those of them whose weights can be told."""
    weight: float
    """Mean recovered weight of these x N."""
    spread: float
    """Largest distance of one token's weight from what it should be beside that mean, x N."""
    expected: float
    """What that mean should be: the clip coefficient for a mean of tokens."""


@dataclass(frozen=True)
class TokenWeights:
    """The weights of one step, all times N."""

    slots: Tensor
    """float64 [slots]: the weight of every predicted token."""
    told: Tensor
    """bool [slots]: whose weight can be told. A token whose gradient is too short for that is unknown: it is no finding
    and it is not right."""
    rows: tuple[RowWeight, ...]
    """Those of the trained tokens, by conversation; conversations without any that can be told are left out."""
    outside: float
    """Largest weight of a token that should have none."""


def token_weights(right: RightStep, recovered: Tensor, told: Tensor) -> TokenWeights:
    """Deal out `recovered`, float64 [columns] of the step's basis; `told`, bool [columns]: which of them are known."""
    slots = _by_slot(right, recovered)
    known = told[torch.tensor([s.column for s in right.slots])]
    silent = [j for j, s in enumerate(right.slots) if not s.trained and known[j]]
    outside = float(slots[silent].abs().max()) if silent else 0.0
    return TokenWeights(slots, known, _by_row(right, slots, known), outside)


def _by_slot(right: RightStep, recovered: Tensor) -> Tensor:
    """What a column is off that several slots share is dealt out by what they should weigh, or evenly if that is
    nothing."""
    index = torch.tensor([s.column for s in right.slots])
    size = right.slot_weights.abs()
    whole = right.by_column(size)[index]
    every = right.by_column(torch.ones(len(right.slots)))[index]
    share = torch.where(whole > 0, size / whole.clamp_min(torch.finfo(torch.float64).tiny), 1.0 / every)
    off = recovered - right.weights * right.clip
    return (right.slot_weights * right.clip + off[index] * share) * right.targets


def _by_row(right: RightStep, slots: Tensor, known: Tensor) -> tuple[RowWeight, ...]:
    wanted = right.slot_weights * right.clip * right.targets
    result = []
    own: list[list[int]] = [[] for _ in right.conversations]
    for j, slot in enumerate(right.slots):
        if slot.trained:
            own[slot.conversation].append(j)
    for c, trained in zip(right.conversations, own, strict=True):
        chosen = [j for j in trained if known[j]]
        if not chosen:
            continue
        each = slots[chosen]
        mean = float(each.mean())
        expected = float(wanted[chosen].mean())
        spread = float(((each - wanted[chosen]) - (mean - expected)).abs().max())
        result.append(RowWeight(c.rank, c.micro_batch, c.row, len(trained), len(chosen), mean, spread, expected))
    return tuple(result)

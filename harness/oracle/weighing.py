"""A step's tokens as arrays, by which hypotheses of how they are weighed are products of vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle import floor
from harness.oracle.floor import Floor
from harness.oracle.step import RightStep

Place = tuple[int, int]
"""Rank and micro-batch."""


@dataclass(frozen=True)
class Weighing:
    """A step's slots as arrays, so that hypotheses are products of vectors. All are [slots]."""

    right: RightStep
    trained: Tensor
    rank: Tensor
    group: Tensor
    """Index of (rank, micro-batch), as in `places`."""
    places: tuple[Place, ...]
    row_mean: Tensor
    """float64 [conversations, columns]: takes weights to the mean over each conversation's trained tokens, those that
    can be told."""
    told: Tensor
    """bool [columns]: whose weights can be told. No other is held against anything."""
    coarseness: Tensor
    """float64 [columns]: what deviations are divided by before they are held against what is known of a token."""
    shared: Tensor
    """float64 [columns]: what weights are divided by, to have the size of a token's."""
    beside: tuple[Tensor, ...]
    """float64 [parameters] for each rank: what its terms make of the gradient, as recovered, after clipping; empty if
    the loss has none."""

    @property
    def ranks(self) -> int:
        return self.right.intent.ranks


def weighing(right: RightStep, noise: Floor, terms: Tensor | None = None) -> Weighing:
    """The slots of a step as arrays. `noise` tells which tokens' weights can be told. terms: weights [terms] as
    recovered; those of the right step without."""
    told = floor.told(right, noise)
    owners = [right.conversations[slot.conversation] for slot in right.slots]
    places = tuple(sorted({c.place for c in right.conversations}))
    return Weighing(
        right=right,
        trained=right.trained,
        rank=right.places.rank,
        group=torch.tensor([places.index(c.place) for c in owners]),
        places=places,
        row_mean=_row_mean(right, told),
        told=told,
        coarseness=torch.ones_like(right.basis.losses) if right.coarseness is None else right.coarseness,
        shared=torch.ones_like(right.basis.losses) if right.shared is None else right.shared,
        beside=_beside(right, right.terms.right * right.clip if terms is None else terms),
    )


def _beside(right: RightStep, terms: Tensor) -> tuple[Tensor, ...]:
    if not right.terms.names:
        return ()
    owner = torch.tensor([term.rank for term in right.terms.names])
    return tuple(right.terms.gradient(terms * (owner == rank)) for rank in range(right.intent.ranks))


def _row_mean(right: RightStep, told: Tensor) -> Tensor:
    rows = floor.rows(right)
    result = torch.zeros(len(rows), len(right.basis.losses), dtype=torch.float64)
    for i, columns in enumerate(rows):
        result[i, columns] = 1.0
    result = result * told
    return result / result.sum(1, keepdim=True).clamp_min(1.0)

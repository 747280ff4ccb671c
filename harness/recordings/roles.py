"""What a token is in its text, by which many tokens of one weight can be told together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lockstep_recorder.batch import TOLD, TRAINED

FIRST, TAG = 32, 64
"""Bits beside those of `lockstep_recorder.batch`: the first that is trained, and the one before it."""
ROLES = 128


@dataclass(frozen=True)
class Places:
    """Where the tokens of a step are, rank by rank. All are [T]."""

    rank: Tensor
    micro_batch: Tensor
    text: Tensor
    """int64: number of its text among those of all ranks."""
    kind: Tensor
    """uint8: bits of `lockstep_recorder.batch`."""


def groupings(places: Places) -> list[Tensor]:
    """Ways to put tokens together, int64 [T] each, the finest first: tokens of one role in a text, or of one kind in
    it; tokens of one role in a micro-batch, or of one kind in it."""
    place = places.rank * (int(places.micro_batch.max()) + 1) + places.micro_batch
    kind = places.kind.long()
    roles = of(places)
    return [owner * ROLES + each for owner in (places.text, place) for each in (roles, kind)]


def of(places: Places) -> Tensor:
    """int64 [T]. Tokens of a text follow each other, in its order."""
    kind = places.kind.long()
    trained = ((kind & TOLD) != 0) & ((kind & TRAINED) != 0)
    same = torch.zeros_like(trained)
    same[1:] = places.text[1:] == places.text[:-1]
    before = torch.zeros_like(trained)
    before[1:] = trained[:-1] & same[1:]
    after = torch.zeros_like(trained)
    after[:-1] = trained[1:] & same[1:]
    return kind + FIRST * (trained & ~before) + TAG * (~trained & after)

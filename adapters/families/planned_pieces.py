"""A loss in pieces as a plan has it (`adapters.faults.Plan`): in chunks, or by a graph for another shape."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapters.contract import Scenario
from adapters.inside import data
from adapters.inside.data import Tokens

CHUNK = 16
"""Positions that a chunk has."""


def averaged(trained: Tensor, level: str) -> Tensor:
    """What each position of a micro-batch weighs in its mean: float64 [batch, length - 1].

    trained: 1 where a position is trained, else 0: float64 [batch, length - 1]. level: `chunk`, where every chunk of
    positions is averaged by itself, and then the chunks; or `position`, a mean over all positions, ignored ones too.
    """
    if level == "position":
        return trained / trained.numel()
    chunks = trained.flatten().split(CHUNK)
    return torch.cat([chunk / chunk.sum().clamp_min(1) / len(chunks) for chunk in chunks]).view_as(trained)


def kept(scenario: Scenario, rows: Sequence[Tokens], step: int, number: int, rank: int, graph: str) -> Tensor:
    """What reaches the gradient of a micro-batch, by `Plan.graph`: 1 or 0, float64 [length - 1]."""
    first, mine = _width(scenario, rows, 0, 0, rank), _width(scenario, rows, step, number, rank)
    every = torch.ones(mine - 1, dtype=torch.float64)
    if graph == "first-shape":
        every[first - 1 :] = 0.0
    if graph == "lost-at-recompile" and step == 0 and number == _recompiled(scenario, rows, rank):
        every[:] = 0.0
    return every


def _recompiled(scenario: Scenario, rows: Sequence[Tokens], rank: int) -> int | None:
    """The first micro-batch that has another length than the first one."""
    widths = [_width(scenario, rows, 0, number, rank) for number in range(scenario.micro_batches(0))]
    return next((number for number, width in enumerate(widths) if width != widths[0]), None)


def _width(scenario: Scenario, rows: Sequence[Tokens], step: int, number: int, rank: int) -> int:
    """Positions of each sequence of a micro-batch."""
    return max(sum(len(rows[i].ids) for i in sequence) for sequence in data.dealt(scenario, step, number, rank))

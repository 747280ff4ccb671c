"""What the loss of each target is multiplied by in the reference, right or as planned (`adapters.faults.Plan`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from adapters.contract import IGNORED_LABEL, Scenario
from adapters.families import planned_pieces, planned_tokens
from adapters.faults import Plan
from adapters.inside import data
from adapters.inside.data import Tokens


class Rank(Protocol):
    """Which of how many ranks asks."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...


def smoothed(
    scenario: Scenario,
    rows: Sequence[Tokens],
    step: int,
    number: int,
    shares: Tensor,
    targets: Tensor,
    how: Plan,
    ranks: Rank,
) -> Tensor:
    """What the smoothed part of each target is multiplied by: [batch, length - 1]. Right is as its own part."""
    if how.smoothed_over == "trained":
        return shares
    if how.smoothed_over == "micro-batch":
        return of_targets(scenario, rows, step, number, targets, replace(how, level="micro-batch"), ranks)
    every = replace(how, mask="everything")
    labels = planned_tokens.labels(scenario, rows, step, number, ranks.rank, every.mask).to(targets.device)
    return of_targets(scenario, rows, step, number, labels[:, 1:], every, ranks)


def auxiliary(scenario: Scenario, step: int, how: Plan) -> float:
    """What a micro-batch's load-balancing loss is multiplied by: right is a mean over all of them, on all ranks."""
    count = scenario.micro_batches(step)
    factor = {"1": 1.0, "0": 0.0, "GA": float(count), "world": float(scenario.window.ranks)}[how.auxiliary]
    return factor * scenario.loss.auxiliary / (count * scenario.window.ranks)


def of_targets(
    scenario: Scenario, rows: Sequence[Tokens], step: int, number: int, targets: Tensor, how: Plan, ranks: Rank
) -> Tensor:
    """What each target's loss is multiplied by: [batch, length - 1]. Right is 1 / N for all."""
    trained, level = (targets != IGNORED_LABEL).double(), how.level
    if scenario.objective.method == "grpo" and level == "token":
        if scenario.objective.normaliser == "constant":
            return trained / (len(scenario.step_rows(step)) * scenario.objective.normaliser_constant)
        if scenario.objective.normaliser == "row":
            return trained / (trained.sum(1, keepdim=True).clamp_min(1) * len(scenario.step_rows(step)))
    if level == "micro-batch":
        return trained / (trained.sum().clamp_min(1) * ranks.world * scenario.micro_batches(step))
    if level in ("chunk", "position"):
        parts = ranks.world * scenario.micro_batches(step)
        return planned_pieces.averaged(trained, level) / parts
    if level == "row":
        each = len(scenario.step_rows(step))
        return trained / by_row(scenario, rows, step, number, ranks, trained, lambda r: max(rows[r].targets, 1) * each)
    counts = _counts(scenario, rows, step, how)
    if how.objective == "truncated-counted":
        counts = counts + _masked(scenario, rows, step)
    groups = {"token": (counts.sum(), 1), "rank": (counts[ranks.rank].sum(), ranks.world)}
    groups["micro-step"] = (counts[:, number].sum(), scenario.micro_batches(step))
    count, parts = groups[level]
    return trained / (max(float(count), 1.0) * parts)


def _counts(scenario: Scenario, rows: Sequence[Tokens], step: int, how: Plan) -> Tensor:
    """Targets of every rank and micro-batch under the plan's mask: float64 [ranks, micro-batches]."""
    result = torch.zeros(scenario.window.ranks, scenario.micro_batches(step), dtype=torch.float64)
    for r in range(scenario.window.ranks_at(step)):
        for m in range(scenario.micro_batches(step)):
            source = (0, 0) if how.repeat_row and m == 1 and r == 0 else (m, r)
            labels = planned_tokens.labels(scenario, rows, step, *source, how.mask)
            result[r, m] = (labels[:, 1:] != IGNORED_LABEL).sum()
    return result


def by_row(
    scenario: Scenario,
    rows: Sequence[Tokens],
    step: int,
    number: int,
    ranks: Rank,
    like: Tensor,
    value: Callable[[int], float],
) -> Tensor:
    """For each target of `like`, [batch, length - 1], the value of the row that it belongs to; 1 for padding."""
    result = torch.ones_like(like)
    for i, sequence in enumerate(data.dealt(scenario, step, number, ranks.rank)):
        filled = sum(len(rows[row].ids) for row in sequence)
        at = like.shape[1] + 1 - filled if scenario.tokenizer.padding_side == "left" else 0
        for row in sequence:
            length = len(rows[row].ids)
            result[i, max(at - 1, 0) : at + length - 1] = value(row)
            at += length
    return result


def _masked(scenario: Scenario, rows: Sequence[Tokens], step: int) -> Tensor:
    """Tokens of responses of which none is trained, of every rank and micro-batch: float64 [ranks, micro-batches]."""
    result = torch.zeros(scenario.window.ranks, scenario.micro_batches(step), dtype=torch.float64)
    for r in range(scenario.window.ranks_at(step)):
        for m in range(scenario.micro_batches(step)):
            every = [rows[i] for sequence in data.dealt(scenario, step, m, r) for i in sequence]
            result[r, m] = sum(sum(row.response[1:]) for row in every if not row.targets)
    return result

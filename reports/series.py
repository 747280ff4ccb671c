"""What a run's cells did step by step, as named scalars: what trackers of experiments draw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.traces.recovered_numbers import Compared, StepWeights
from harness.traces.text_files import Reported
from reports.source import Cell


@dataclass(frozen=True)
class Scalar:
    """One value of a series."""

    tag: str
    """Such as `loss/reported`."""
    step: int
    """Optimizer step, from 0."""
    value: float
    """Finite."""


def scalars(cell: Cell) -> tuple[Scalar, ...]:
    """Loss, gradient norm and learning rate as reported, as recovered and as they should be; the share of the gradient
    that the tokens do not explain; and what the tokens of each conversation weigh. Of a cell that the oracle recovered
    nothing from, what its framework reported."""
    told = (s for step in cell.steps for s in _recovered(step))
    found = told if cell.steps else (s for line in cell.told.reported for s in _reported(line))
    return tuple(scalar for scalar in found if math.isfinite(scalar.value))


def _recovered(step: StepWeights) -> Iterator[Scalar]:
    for name, numbers in (("loss", step.loss), ("grad-norm", step.grad_norm), ("learning-rate", step.learning_rate)):
        yield from _compared(name, step.step, numbers)
    yield Scalar("gradient/unexplained", step.step, step.residual)
    yield Scalar("weight/right", step.step, step.right)
    yield from _weights(step)


def _compared(name: str, step: int, numbers: Compared) -> Iterator[Scalar]:
    for which, value in (
        ("reported", numbers.reported),
        ("recovered", numbers.recovered),
        ("right", numbers.right),
    ):
        if value is not None:
            yield Scalar(f"{name}/{which}", step, value)


def _weights(step: StepWeights) -> Iterator[Scalar]:
    """By the place in the batch, since the rows of every step are others."""
    places: Counter[tuple[int, int]] = Counter()
    for conversation in step.conversations:
        rank, micro_batch = place = conversation.rank, conversation.micro_batch
        number, places[place] = places[place], places[place] + 1
        weight = conversation.mean
        if weight is not None:
            yield Scalar(f"weight/rank-{rank}/micro-batch-{micro_batch}/{number}", step.step, weight)


def _reported(line: Reported) -> Iterator[Scalar]:
    named = (("loss", line.loss), ("grad-norm", line.grad_norm), ("learning-rate", line.learning_rate))
    for name, value in named:
        if value is not None:
            yield Scalar(f"{name}/reported", line.step, value)

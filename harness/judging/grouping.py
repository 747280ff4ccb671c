"""Do rows come by length where they are to be grouped so? By any of the lengths and samplers that there are."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

from adapters.contract import Scenario
from harness.intent import grouped
from harness.intent.grouped import Lengths
from harness.intent.intent import Intent
from harness.traces import batch

UNLIKELY = 1e-4
"""Chance of a shuffled order to be taken for a grouped one, from which on nothing is told."""


@functools.lru_cache(maxsize=4)
def _lengths(scenario: Scenario) -> tuple[Lengths, ...]:
    """What may be meant by the length of a row: tokens as they are trained, those before rows are cut off, or
    characters."""
    rows = scenario.data.rows
    return (
        {i: len(right.ids) for i, right in enumerate(batch.right_rows(scenario))},
        {i: scenario.tokens(row) for i, row in enumerate(rows)},
        {i: sum(len(message.content) for message in row) for i, row in enumerate(rows)},
    )


def kept(intent: Intent, scenario: Scenario, steps: int) -> bool:
    """Whether the order of the first `steps` steps is what some sampler makes by some length."""
    return any(
        all(grouped.keeps(order, lengths, group) for order in orders)
        for orders, group in _drawn(intent, steps)
        for lengths in _lengths(scenario)
    )


def told(intent: Intent, scenario: Scenario) -> bool:
    """Whether hardly a shuffled order of the run's rows would be taken for one by length."""
    chances = (
        math.prod(grouped.chance(order, lengths, group) for order in orders)
        for orders, group in _drawn(intent, intent.steps)
        for lengths in _lengths(scenario)
    )
    return sum(chances) < UNLIKELY


def _drawn(intent: Intent, steps: int) -> Iterator[tuple[list[list[int]], int]]:
    """For each sampler, the epochs as it would have drawn them, and the rows that it sorts together."""
    if intent.drawn is not None:
        for sampler in grouped.samplers(intent):
            yield grouped.epochs(intent, steps, sampler.by_row), sampler.group(intent.drawn.rows)

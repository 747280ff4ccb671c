"""Whether learning-rate schedulers move once in an optimizer step."""

from __future__ import annotations

from itertools import pairwise

from harness.recordings.reader import Line, Recording
from harness.verdicts.findings import Finding


def wrong(recording: Recording) -> list[Finding]:
    """A finding for each scheduler that moves more often than the optimizer steps."""
    first = [parts[0].line for parts in recording.steps.values()]
    for before, after in pairwise(first):
        for number, _ in enumerate(after.schedulers):
            if found := _wrong(recording.header.ranks, before, after, number):
                return [found]
    return []


def _wrong(ranks: int, before: Line, after: Line, number: int) -> Finding | None:
    if number >= len(before.schedulers):
        return None
    here, steps = after.schedulers[number], after.step - before.step
    moves, meant = here.moves - before.schedulers[number].moves, ranks if here.by_rank else 1
    if moves <= steps * meant:  # by the epoch, perhaps
        return None
    return Finding(
        "update.learning-rate",
        f"the scheduler ({here.class_}) moved {moves / steps:g} times in a step, from step {before.step} to"
        f" {after.step}: if it counts steps, its schedule is over {moves / steps / meant:g} times too early",
        after.step,
        observed=moves / steps,
        expected=float(meant),
        detail={"cause": "scheduler-steps"},
    )

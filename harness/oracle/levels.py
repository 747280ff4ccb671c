"""What is averaged by itself before the mean over all of it is taken: the levels that trainers have."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from harness.intent.intent import Aggregation, Given, Intent, Mean
from harness.intent.objective import Level, Policy, Preferences

Intended = Literal["intended"]
INTENDED: Intended = "intended"

LEVELS: tuple[Level, ...] = get_args(Level)

_AXES: dict[Level, tuple[str, ...]] = {
    "token": (),
    "micro-batch": ("rank", "micro-batch"),
    "rank": ("rank",),
    "micro-step": ("micro-batch",),
    "row": ("rank", "micro-batch", "row"),
}
"""What two tokens must share to be in one mean."""


def same_levels(intent: Intent, level: Level) -> tuple[Level, ...]:
    """Levels of averaging that are one with `level` in these windows, itself among them: on one rank, a micro-step is
    one micro-batch."""
    several = {
        "rank": intent.ranks > 1,
        "micro-batch": intent.accumulation > 1,
        "row": intent.micro_batch_size * intent.rows_per_sequence > 1,
    }

    def told_apart(by: Level) -> frozenset[str]:
        return frozenset(axis for axis in _AXES[by] if several[axis])

    return tuple(other for other in LEVELS if told_apart(other) == told_apart(level))


def averaged(wanted: Aggregation, level: Level | Intended) -> Aggregation:
    """The same with means of that level."""
    if level == INTENDED:
        return wanted
    return replace(wanted, over=level, constant=None) if isinstance(wanted, Policy) else Mean(level)


def asked(intent: Intent) -> list[Level | Intended]:
    """What is intended, and every other mean."""
    if isinstance(intent.aggregation, Preferences):
        return [INTENDED]  # pairs are averaged, as many in each micro-batch
    return [INTENDED, *(level for level in LEVELS if level != _same(intent.aggregation))]


def _same(wanted: Aggregation) -> Level | None:
    """The level that is another one by a factor at most. Of a sum, the mean over all tokens."""
    if isinstance(wanted, Policy):
        return wanted.over if wanted.constant is None else None
    if isinstance(wanted, Mean):
        return wanted.over
    return None if isinstance(wanted, Given) else "token"

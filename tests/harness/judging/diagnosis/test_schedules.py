"""Which other schedule explains rates, by rates alone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.intent.intent import Group, Intent, Rule
from harness.intent.schedule import Decay, Schedule
from harness.judging.diagnosis import schedules
from harness.judging.diagnosis.schedules import Measured
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache

RATE = 1e-3


def intent(decay: Decay, horizon: int, **changed: object) -> Intent:
    schedule = Schedule("phases", decay=decay, horizon=horizon, **changed)
    return Intent(Rule((Group(("*",)),), RATE), steps=8, ranks=1, accumulation=1, schedule=schedule)


def rates_of(schedule: Schedule, updates: int = 8) -> list[Measured]:
    return [Measured(update, schedule.rate(RATE, update), 1e-6 * RATE) for update in range(updates)]


@pytest.mark.parametrize("decay", ["linear", "cosine", "polynomial", "one-minus-sqrt"])
@pytest.mark.parametrize(("span", "horizon"), [(16, 8), (4, 8), (40, 8), (5, 10), (200, 10), (7, 8)])
def test_another_horizon_is_told(decay: Decay, span: int, horizon: int) -> None:
    wanted = intent(decay, horizon, warmup_steps=2, power=2.0)
    found = schedules.explaining(wanted, rates_of(replace(wanted.schedule, horizon=span)))
    assert found.summary == f"the learning rate falls over {span} steps instead of {horizon}"


def test_what_is_behind_another_horizon_is_its_own_matter() -> None:
    """A cosine that rises again."""
    wanted = intent("cosine", 8)
    rates = rates_of(replace(wanted.schedule, horizon=5))
    rates[6:] = [replace(one, rate=0.5 * RATE) for one in rates[6:]]
    assert schedules.explaining(wanted, rates).summary == "the learning rate falls over 5 steps instead of 8"


def test_a_long_horizon_takes_no_longer() -> None:
    wanted = intent("linear", 10_000)
    begun = time.perf_counter()
    found = schedules.explaining(wanted, [Measured(n, 0.5 * RATE, 1e-6 * RATE) for n in range(8)])
    assert time.perf_counter() - begun < 1.0
    assert found.key == schedules.OTHER


def test_a_rate_is_of_an_update(good: Path, bases: BasisCache) -> None:
    """The second step after one that was skipped is the first update; and a group's factor is not the schedule's."""
    step = judge(good, bases).steps[1]
    assert schedules.measured(step).update == 1
    assert schedules.measured(replace(step, right=replace(step.right, skipped=1))).update == 0
    groups = tuple(replace(group, rate=2.0) for group in step.right.intent.rule.groups)
    rule = replace(step.right.intent.rule, groups=groups)
    doubled = replace(step, right=replace(step.right, intent=replace(step.right.intent, rule=rule)))
    assert schedules.measured(doubled).rate == pytest.approx(0.5 * schedules.measured(step).rate)

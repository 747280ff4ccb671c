"""The intent's schedule is the scenario's, by code of its own."""

from __future__ import annotations

import pytest
from hypothesis import given

import scenarios
from adapters.contract import Schedule as Told
from adapters.contract import vary
from harness.intent.of_scenario import of_scenario
from harness.intent.schedule import Schedule
from tests.scenarios.drawn import STEPS, schedules


@given(schedules())
def test_every_step_has_the_scenarios_rate(told: Told) -> None:
    scenario = vary(scenarios.get("sft-ragged"), schedule=told, steps=STEPS, learning_rate=1.0)
    intent = of_scenario(vary(scenario, rows=scenario.data.rows * 4))
    for step in range(-1, 2 * STEPS):
        assert intent.schedule_rate(step) == pytest.approx(scenario.learning_rate_at(step), abs=1e-15), step


@given(schedules())
def test_a_schedule_stays_between_nothing_and_the_whole_and_ends_at_its_least(told: Told) -> None:
    factors = [told.factor(step, STEPS) for step in range(100)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert factors[-1] == pytest.approx(told.least if told.decay != "none" else 1.0)


def test_shares_by_hand() -> None:
    cosine = Schedule("phases", 2, decay="cosine", horizon=4, least=0.1, warmup_from="zero")
    assert [cosine.rate(1.0, step) for step in range(6)] == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1, 0.1])
    stretched = Schedule("phases", 1, decay="linear", horizon=5, stable_steps=2, least=0.5, warmup_from="least")
    assert [stretched.rate(2.0, step) for step in range(6)] == pytest.approx([1.0, 2.0, 2.0, 2.0, 1.5, 1.0])
    last = Schedule("phases", decay="linear", horizon=4, least_at="last")
    assert [last.rate(1.0, step) for step in range(4)] == pytest.approx([0.75, 0.5, 0.25, 0.0])
    square = Schedule("phases", decay="polynomial", power=2.0, horizon=2)
    assert [square.rate(1.0, step) for step in range(3)] == pytest.approx([1.0, 0.25, 0.0])
    root = Schedule("phases", decay="one-minus-sqrt", horizon=4)
    assert [root.rate(1.0, step) for step in range(5)] == pytest.approx([1.0, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5, 0.0])


def test_a_fall_needs_steps_to_fall_in() -> None:
    with pytest.raises(ValueError, match="horizon has 3, expected more than the 3 steps before"):
        Schedule("phases", 2, decay="cosine", stable_steps=1, horizon=3)
    with pytest.raises(ValueError, match="decay has linear, expected none unless kind is phases"):
        Schedule(decay="linear", horizon=3)

"""Completions that TRL is handed: whose they are, and in which step its shuffle leaves them."""

from __future__ import annotations

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.families import trl_rollouts

NAMES = [name for name in scenarios.CATALOGUE if name.startswith("grpo-")]


@pytest.mark.parametrize("name", NAMES)
def test_groups_and_steps_stay_whole(name: str) -> None:
    scenario = scenarios.get(name)
    steps, each = trl_rollouts.steps_sampled(scenario), scenario.objective.group_size
    assert steps * trl_rollouts.passes(scenario) == scenario.objective.rollout_steps
    samplings = trl_rollouts.rows_sampled(scenario)
    assert sorted(row for rows in samplings for row in rows) == list(range(len(scenario.data.rows)))
    for number, rows in enumerate(samplings):
        groups = [rows[at : at + each] for at in range(0, len(rows), each)]
        assert all(group == list(range(group[0], group[0] + each)) and group[0] % each == 0 for group in groups)
        share = len(rows) // scenario.window.ranks // steps
        for step in range(steps):
            starts = [(rank * steps + step) * share for rank in range(scenario.window.ranks)]
            own = [row for start in starts for row in rows[start : start + share]]
            assert sorted(own) == sorted(scenario.step_rows(number * steps + step))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"order": "shuffled"}, "data.order='shuffled'"),
        ({"rollout_steps": 3}, "objective.rollout_steps=3 in epochs of 2 steps"),
    ],
)
def test_what_its_sampler_cannot_deal_is_said(changed: dict[str, object], why: str) -> None:
    assert why in (trl_rollouts.unsupported(vary(scenarios.get("grpo-stale"), **changed)) or "")


def test_steps_that_part_a_group_are_said() -> None:
    base = scenarios.get("grpo-token")
    fewer = {"rows": base.data.rows[:24], "rewards": base.objective.rewards[:24]}
    parted = vary(base, micro_batch_size=3, accumulation=1, steps=4, **fewer)
    assert "these steps part one" in (trl_rollouts.unsupported(parted) or "")


def test_more_orders_than_can_be_tried_are_said() -> None:
    base = scenarios.get("grpo-stale")
    rows, rewards = base.data.rows * 2, base.objective.rewards * 2
    long = vary(base, rows=rows, rewards=rewards, rollout_steps=4, epochs=1)
    assert "data.order='given'" in (trl_rollouts.unshuffled(long) or "")


def test_prompts_that_differ_in_a_group_are_said() -> None:
    base = scenarios.get("grpo-token")
    first, *rest = base.data.rows
    parted = vary(base, rows=(rest[-1], *rest[:-1], first))
    assert "the same one" in (trl_rollouts.unsupported(parted) or "")


def test_what_is_filled_up_is_known() -> None:
    def filled(scenario: Scenario) -> bool:
        return trl_rollouts.fills_up(scenario)

    assert [filled(scenarios.get(name)) for name in ("grpo-token", "grpo-stale")] == [False, True]
    assert not filled(vary(scenarios.get("grpo-stale"), max_length=None))

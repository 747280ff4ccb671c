"""Fields are changed by their names, whichever group they are in."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

import scenarios
from adapters.contract import Model, Optimizer, places, vary
from adapters.contract.checking import hints
from adapters.contract.scenario import Scenario

BASE = scenarios.get("sft-ragged")


def _names(kind: type) -> list[str]:
    groups = [inner for inner in hints(kind).values() if isinstance(inner, type) and is_dataclass(inner)]
    return [one.name for one in fields(kind)] + [name for group in groups for name in _names(group)]


def test_no_name_occurs_twice() -> None:
    names = _names(Scenario)
    assert sorted(names) == sorted(set(names)) == sorted(places())


def test_fields_of_several_groups_at_once() -> None:
    scenario = vary(BASE, ranks=1, compute="bf16", warmup_steps=4, name="other")
    assert (scenario.window.ranks, scenario.precision.compute, scenario.name) == (1, "bf16", "other")
    assert scenario.optimizer.schedule.warmup_steps == 4
    assert vary(scenario, ranks=2, compute="fp32", warmup_steps=0, name=BASE.name) == BASE


def test_a_whole_group_comes_before_its_fields() -> None:
    scenario = vary(BASE, learning_rate=3.0, optimizer=Optimizer(weight_decay=0.1), model=Model("qwen3"))
    assert scenario.optimizer == Optimizer(learning_rate=3.0, weight_decay=0.1)
    assert scenario.model == Model("qwen3")


def test_a_name_that_no_field_has() -> None:
    with pytest.raises(TypeError, match="a scenario has no field 'rankz'"):
        vary(BASE, rankz=1)

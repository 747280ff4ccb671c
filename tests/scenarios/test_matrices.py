"""The matrices that are shipped: every row is a scenario, and what they say of themselves is right."""

from __future__ import annotations

from itertools import combinations

import pytest

import scenarios
from adapters import expressed
from adapters.expressed import FRAMEWORKS
from harness.matrices.axes import AXES, SIZES
from scenarios import matrices

SHIPPED = [(size, framework) for size in SIZES for framework in FRAMEWORKS]


def test_every_framework_has_each_size() -> None:
    assert matrices.sizes() == list(SIZES)
    assert all(list(matrices.covering(size)) == list(FRAMEWORKS) for size in SIZES)


@pytest.mark.parametrize(("size", "framework"), SHIPPED)
def test_every_row_is_a_scenario_that_the_table_does_not_refuse(size: str, framework: str) -> None:
    names = matrices.names(size, framework)
    assert len(set(names)) == len(names) > 0
    for name in names:
        scenario = scenarios.get(name)
        assert scenario.name == name
        assert expressed.refused(scenario, framework) is None
        assert scenarios.told(name)


@pytest.mark.parametrize(("size", "framework"), SHIPPED)
def test_what_is_held_is_counted_right(size: str, framework: str) -> None:
    told, axes = matrices.covering(size)[framework], AXES[size]
    able = {p: [v for v in vs if f"{p}={v!r}" not in told["refused"]] for p, vs in axes.items()}
    every = [(one, a, other, b) for one, other in combinations(able, 2) for a in able[one] for b in able[other]]
    held = sum(any(row[one] == a and row[other] == b for row in told["rows"]) for one, a, other, b in every)
    assert held == told["pairs"] - told["missed"]
    assert len(every) == told["pairs"] + told["refused_pairs"]
    assert told["missed"] == 0 or size != "smoke"


def test_the_same_values_are_the_same_scenario_for_every_framework() -> None:
    row = {"window.ranks": 1, "precision.compute": "bf16"}
    assert matrices.name("smoke", row) == matrices.name("smoke", dict(reversed(row.items())))
    assert matrices.name("smoke", row) != matrices.name("smoke", {**row, "window.ranks": 2})


def test_a_name_that_nothing_has() -> None:
    assert not scenarios.knows("smoke-ffffff")
    with pytest.raises(KeyError):
        scenarios.get("smoke-ffffff")

"""Scenarios are drawn few fields at a time, the same for the same number, and what is new comes first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness.fuzzing import axes, drawing
from harness.fuzzing.coverage import Coverage
from harness.fuzzing.drawing import Drawer

AXES: Mapping[str, Any] = {
    "window.ranks": (1, 2),
    "window.accumulation": (1, 2, 3),
    "a.one": (False, True),
    "a.two": ("p", "q", "r"),
    "b.one": (0.0, 0.5),
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    drawing.keep_files_in(tmp_path)


def _all(row: Mapping[str, Any]) -> str | None:
    return None


def test_none_comes_twice_and_each_has_more_than_its_window() -> None:
    drawn = drawing.draw(axes.axes(), 7, 100)
    assert all(row.keys() - set(axes.WINDOW) for row in drawn)
    assert len({axes.key(row) for row in drawn}) == len(drawn) > 50
    assert drawn == drawing.draw(axes.axes(), 7, 100)
    assert drawn != drawing.draw(axes.axes(), 8, 100)


def test_few_fields_are_drawn_at_a_time() -> None:
    for row in drawing.draw(axes.axes(), 1, 200):
        groups = {path.split(".")[0] for path in row if path not in axes.WINDOW}
        assert len(groups) <= drawing.MOST_GROUPS
        assert len(row) <= len(axes.WINDOW) + drawing.MOST_GROUPS**2


def test_nearly_every_value_comes_within_a_hundred_cells() -> None:
    drawer = Drawer(axes.axes(), _all, coverage := Coverage(axes.axes()), 0)
    list(islice(drawer.rows(), 100))
    never = [(path, value) for path, values in coverage.drawn().items() for value, n in values.items() if n == 0]
    assert len(never) <= 3, never


def test_nothing_is_drawn_that_is_refused_or_was_run() -> None:
    few = {path: AXES[path] for path in ("window.ranks", "a.one", "a.two")}
    drawer = Drawer(few, lambda row: "no" if row.get("a.two") == "q" else None, Coverage(few), 0)
    drawer.run_before({"window.ranks": 2})
    drawn = list(drawer.rows())
    assert len({axes.key(row) for row in drawn}) == len(drawn)
    assert {"window.ranks": 2} not in drawn
    assert not [row for row in drawn if row.get("a.two") == "q"]
    # All that there is: the drawing ends by itself.
    assert len(drawn) == 2 * 2 * 2 - 1
    assert drawer.refused > 0


def test_the_plain_scenario_comes_first() -> None:
    assert next(Drawer(AXES, _all, Coverage(AXES), 0).rows()) == {}
    refused = Drawer(AXES, lambda row: None if row else "never plain", Coverage(AXES), 0)
    assert next(refused.rows()) != {}


def test_what_is_refused_is_run_without_the_field_that_does_not_fit() -> None:
    """Of what is drawn with all three of a group, that is what can be had."""
    few = {
        "window.ranks": (1, 2),
        "s.strategy": ("none", "zero2"),
        "s.optimizer": (False, True),
        "s.both": (False, True),
    }

    def refuse(row: Mapping[str, Any]) -> str | None:
        alone = row.get("s.strategy", "none") == "none" and len(row.keys() - {"window.ranks"}) > 0
        return "it takes a strategy" if alone else "not with zero2" if "s.both" in row else None

    drawn = list(Drawer(few, refuse, Coverage(few), 0).rows())
    assert {"s.strategy": "zero2", "s.optimizer": True} in drawn
    assert all(refuse(row) is None for row in drawn)


def test_one_that_goes_on_draws_others_than_before() -> None:
    first = Drawer(AXES, _all, Coverage(AXES), 3)
    before = list(islice(first.rows(), 10))
    second = Drawer(AXES, _all, Coverage(AXES), 3)
    for row in before:
        second.run_before(row)
    assert not [row for row in islice(second.rows(), 10) if row in before]


def test_only_what_can_be_expressed_is_an_axis() -> None:
    def refuse(row: Mapping[str, Any]) -> str | None:
        return "never" if row.get("a.two") in ("q", "r") or row.get("b.one") == 0.5 else None

    assert drawing.expressible(AXES, refuse) == {
        "window.ranks": [1, 2],
        "window.accumulation": [1, 2, 3],
        "a.one": [False, True],
    }


def test_what_is_new_counts_alone_in_pairs_and_in_triples() -> None:
    coverage = Coverage(AXES)
    row = {"window.ranks": 2, "a.one": True, "b.one": 0.5}
    assert coverage.new(row) == 1 + 1  # a value that is new by itself counts one more
    coverage.add({"window.ranks": 2, "a.one": True})
    assert coverage.new(row) == (1 + 2 + 1) / 7 + 1
    coverage.add({"b.one": 0.5})
    assert coverage.new(row) == (2 + 1) / 7
    coverage.add(row)
    assert coverage.new(row) == coverage.new({}) == 0
    assert coverage.pairs == 3
    assert coverage.drawn()["a.two"] == {"p": 3, "q": 0, "r": 0}
    assert coverage.drawn()["a.one"] == {"false": 1, "true": 2}

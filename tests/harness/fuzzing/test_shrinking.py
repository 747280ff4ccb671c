"""The smallest scenario is found with an artificial framework that is wrong where a predicate says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.fuzzing import axes
from harness.fuzzing.shrinking import Answer, Ask, shrink

AXES: Mapping[str, Any] = {
    "window.ranks": (1, 2),
    "window.accumulation": (1, 2, 3, 4, 6),
    "window.steps": (1, 2, 3),
    "sharding.strategy": ("none", "zero1", "zero2", "zero3"),
    "sharding.offload": (False, True),
    "model.tied": (False, True),
    "optimizer.decay": (0.0, 0.1),
}
LARGE = {
    "window.ranks": 2,
    "window.accumulation": 6,
    "window.steps": 3,
    "sharding.strategy": "zero2",
    "sharding.offload": True,
    "model.tied": True,
}


def _of(row: Mapping[str, Any], path: str) -> Any:
    return row.get(path, AXES[path][0])


def _offload(row: Mapping[str, Any]) -> Answer:
    """As DeepSpeed 0.18.9 has it: what is between the first and the last micro-batch is lost."""
    if _of(row, "sharding.offload") and _of(row, "sharding.strategy") == "none":
        return "refused"
    lost = _of(row, "sharding.offload") and _of(row, "sharding.strategy") == "zero2"
    return "fails" if lost and _of(row, "window.accumulation") >= 3 else "other"


def test_the_offload_bug_is_one_rank_three_micro_batches_and_one_step() -> None:
    found = shrink(LARGE, AXES, _offload)
    assert found.row == {"window.accumulation": 3, "sharding.strategy": "zero2", "sharding.offload": True}
    told = [one.told for one in found.tried]
    assert "without window.ranks = 2: still fails" in told
    assert "without sharding.strategy = 'zero2': cannot be run" in told
    assert "window.accumulation = 2 instead of 3: does not fail so" in told
    assert len(told) < 20


def test_it_is_the_same_on_every_run() -> None:
    assert shrink(LARGE, AXES, _offload) == shrink(LARGE, AXES, _offload)


def test_what_fails_everywhere_shrinks_to_the_plain_scenario_at_once() -> None:
    found = shrink(LARGE, AXES, lambda row: "fails")
    assert found.row == {}
    assert len(found.tried) == 4  # all that is no window, and three fields of it


def test_what_fails_nowhere_else_stays_as_it_is() -> None:
    assert shrink(LARGE, AXES, lambda row: "fails" if row == LARGE else "other").row == LARGE


def test_two_fields_that_need_each_other_go_together() -> None:
    def ask(row: Mapping[str, Any]) -> Answer:
        return "refused" if (_of(row, "model.tied")) != (_of(row, "optimizer.decay") > 0) else "fails"

    # The fields that are no window go at once, unless something among them is needed.
    def beside(row: Mapping[str, Any]) -> Answer:
        return ask(row) if _of(row, "sharding.offload") else "other"

    found = shrink({"model.tied": True, "optimizer.decay": 0.1, "sharding.offload": True}, AXES, beside)
    assert found.row == {"sharding.offload": True}


def test_a_number_is_halved_down_to_where_it_still_fails() -> None:
    asked: list[int] = []

    def ask(row: Mapping[str, Any]) -> Answer:
        asked.append(_of(row, "window.accumulation"))
        return "fails" if asked[-1] >= 37 else "other"

    assert shrink({"window.accumulation": 64}, AXES, ask).row == {"window.accumulation": 37}
    assert len(asked) < 20


def test_a_field_without_an_axis_goes_as_a_whole_or_stays() -> None:
    row = {"model.frozen": ["lm_head.*"], "model.tied": True}
    assert shrink(row, AXES, lambda row: "fails" if "model.frozen" in row else "other").row == {
        "model.frozen": ["lm_head.*"]
    }


def _rows() -> st.SearchStrategy[dict[str, Any]]:
    other = {path: st.sampled_from(values[1:]) for path, values in AXES.items()}
    return st.fixed_dictionaries({}, optional=other)


@st.composite
def _framework(draw: st.DrawFn) -> tuple[dict[str, Any], Ask]:
    """A scenario, and a framework that is wrong where some of its values are there, numbers at least as large, and that
    refuses some others."""
    row = draw(_rows())
    needed = draw(st.sets(st.sampled_from(sorted(row)))) if row else set()
    least = {path: draw(st.integers(2, row[path])) for path in sorted(needed) if type(row[path]) is int}
    both = st.frozensets(st.sampled_from(sorted(row)), min_size=2, max_size=2) if len(row) > 1 else st.nothing()
    coupled = draw(st.just(frozenset()) | both)

    def ask(asked: Mapping[str, Any]) -> Answer:
        if len(coupled & asked.keys()) == 1:
            return "refused"
        there = all(
            path in asked and (asked[path] >= least[path] if path in least else asked[path] == row[path])
            for path in needed
        )
        return "fails" if there else "other"

    return row, ask


@given(_framework())
def test_nothing_that_is_left_can_go(framework: tuple[dict[str, Any], Ask]) -> None:
    row, ask = framework
    found = shrink(row, AXES, ask).row
    assert ask(found) == "fails"
    for path, value in found.items():
        without = {other: there for other, there in found.items() if other != path}
        assert ask(without) != "fails"
        if type(value) is int and value > 2:
            assert ask({**found, path: value - 1}) != "fails"


@given(_framework())
def test_only_what_was_asked_for_is_ever_lowered(framework: tuple[dict[str, Any], Ask]) -> None:
    row, ask = framework
    found = shrink(row, AXES, ask)
    assert found.row.keys() <= row.keys()
    assert len({one.change for one in found.tried}) <= len(found.tried) < 80


def test_the_axes_that_there_are_can_all_be_lowered() -> None:
    row = {path: values[-1] for path, values in axes.axes().items()}
    assert shrink(row, axes.axes(), lambda row: "fails").row == {}

"""From what is known of a line to what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bisection import hunt, search
from harness.bisection.conclude import Asked, conclude
from harness.bisection.record import Bisection, BoundaryRecord
from harness.bisection.search import Outcome
from tests.harness.bisection import made
from tests.harness.bisection.made import BOTH, CRASH, DROPPED, HOLE, RIGHT, SCALED

ASKED = Asked(
    kind="releases",
    framework="deepspeed",
    target="deepspeed",
    scenario="sft-ragged@3",
    scenario_told="Ragged rows.",
    cause=None,
    patch=None,
    command="lockstep bisect deepspeed --scenario sft-ragged@3",
)
TRUTH = [RIGHT] * 12 + [DROPPED] * 9 + [HOLE] * 2 + [SCALED] * 10 + [RIGHT] * 7
truths = st.lists(
    st.tuples(st.sampled_from([RIGHT, DROPPED, SCALED, BOTH, HOLE, CRASH]), st.integers(1, 9)), min_size=1, max_size=6
).map(lambda runs: [outcome for outcome, length in runs for _ in range(length)])


def concluded(truth: Sequence[Outcome], **more: object) -> Bisection:
    return conclude(ASKED, made.searched(truth, **more), 61.26)


def label(number: int) -> str:
    return made.point(number).label


@given(truths, st.booleans(), st.data())
def test_every_point_is_said_once_and_as_it_is(truth: list[Outcome], thorough: bool, data: st.DataObject) -> None:
    flaky = data.draw(st.dictionaries(st.integers(0, len(truth) - 1), st.sampled_from([RIGHT, SCALED]), max_size=2))
    flaky = {i: outcome for i, outcome in flaky.items() if truth[i].tells}
    searched = made.searched(truth, flaky, thorough)
    found = conclude(ASKED, searched, 1.0)
    known = {p.label for p in (*found.measured, *found.inferred, *found.uninstallable)}
    assert len(known) == len(found.measured) + len(found.inferred) + len(found.uninstallable)
    assert found.order == [label(i) for i in range(len(truth))]
    assert known <= set(found.order)
    assert {p.label for p in found.uninstallable} == {label(i) for i in searched.seen if truth[i] == HOLE}
    for p in found.measured:
        i = found.order.index(p.label)
        assert p.stable == (len(set(searched.seen[i])) == 1)
        assert p.times == len(searched.seen[i])
        if p.stable:
            assert Outcome(p.verdict, tuple(p.causes)) == truth[i]
    assert {p.label: Outcome(p.verdict, tuple(p.causes)) for p in found.inferred} == {
        label(i): outcome for i, outcome in search.inferred(len(truth), searched.seen).items()
    }
    assert (found.complete, found.left) == (True, 0)


@given(truths)
def test_a_boundary_has_two_sides_that_were_measured_twice(truth: list[Outcome]) -> None:
    found = concluded(truth)
    points = {p.label: p for p in found.measured}
    for b in found.boundaries:
        for side, verdict, causes in (
            (b.before, b.verdict_before, b.causes_before),
            (b.after, b.verdict_after, b.causes_after),
        ):
            assert (points[side].verdict, points[side].causes) == (verdict, causes)
            assert points[side].times == 2
        assert (b.verdict_before, b.causes_before) != (b.verdict_after, b.causes_after)
        first, last = found.order.index(b.before), found.order.index(b.after)
        assert b.between == found.order[first + 1 : last]


def test_boundaries_and_where_to_read_on() -> None:
    found = concluded(TRUTH)
    source = "https://github.com/deepspeedai/DeepSpeed"
    assert found.boundaries == [
        BoundaryRecord(
            before="0.1.1",
            after="0.1.2",
            verdict_before="pass",
            verdict_after="fail",
            causes_before=[],
            causes_after=list(DROPPED.causes),
            compare=f"{source}/compare/v0.1.1...v0.1.2",
        ),
        BoundaryRecord(
            before="0.2.0",
            after="0.2.3",
            verdict_before="fail",
            verdict_after="fail",
            causes_before=list(DROPPED.causes),
            causes_after=list(SCALED.causes),
            between=["0.2.1", "0.2.2"],
            compare=f"{source}/compare/v0.2.0...v0.2.3",
        ),
        BoundaryRecord(
            before="0.3.2",
            after="0.3.3",
            verdict_before="fail",
            verdict_after="pass",
            causes_before=list(SCALED.causes),
            causes_after=[],
            compare=f"{source}/compare/v0.3.2...v0.3.3",
        ),
    ]
    assert found.source == source
    assert found.allowed == search.allowance(40, 3)
    assert found.seconds == 61.3


def test_a_package_underneath_is_compared_where_it_is_developed() -> None:
    asked = dataclasses.replace(ASKED, kind="underneath", framework="trl", target="trl==0.12.2")
    searched = made.searched([RIGHT] * 3 + [SCALED] * 3, of="transformers")
    (boundary,) = conclude(asked, searched, 1.0).boundaries
    assert boundary.compare == "https://github.com/huggingface/transformers/compare/v0.0.2...v0.0.3"


def test_what_nobody_says_the_source_of_has_no_links() -> None:
    asked = dataclasses.replace(ASKED, kind="underneath")
    found = conclude(asked, made.searched([RIGHT] * 3 + [SCALED] * 3, of="einops"), 1.0)
    assert (found.source, [b.compare for b in found.boundaries]) == (None, [None])


@pytest.mark.parametrize("kind", ["commits", "dates"])
def test_what_are_no_releases_are_not_compared_by_tag(kind: str) -> None:
    asked = dataclasses.replace(ASKED, kind=kind)
    found = conclude(asked, made.searched([RIGHT] * 3 + [SCALED] * 3), 1.0)
    assert (found.source, [b.compare for b in found.boundaries]) == (None, [None])


def test_a_point_that_says_now_this_now_that_makes_its_range_inconclusive() -> None:
    found = concluded([RIGHT] * 6 + [DROPPED] * 6, flaky={6: RIGHT})
    (boundary,) = found.boundaries
    assert (boundary.before, boundary.between, boundary.after) == ("0.0.5", ["0.0.6"], "0.0.7")
    assert boundary.inconclusive
    assert [p.label for p in found.measured if not p.stable] == ["0.0.6"]


def test_a_crash_between_is_no_instability() -> None:
    (boundary,) = concluded([RIGHT] * 6 + [CRASH] + [DROPPED] * 6).boundaries
    assert (boundary.between, boundary.inconclusive) == (["0.0.6"], False)


def test_a_point_tells_its_date_why_and_what_reproduces_it() -> None:
    found = concluded(TRUTH)
    (hole,) = (p for p in found.uninstallable if p.label == "0.2.1")
    assert (hole.date, hole.reason) == ("2025-01-22", made.REASONS["uninstallable"])
    wrong = next(p for p in found.measured if p.label == "0.1.2")
    assert [d.kind for d in wrong.diagnoses] == list(DROPPED.causes)
    assert (wrong.version, wrong.seconds, wrong.kept) == ("0.1.2", 7.5, 0)
    assert wrong.command == "lockstep run --framework deepspeed==0.1.2"


def test_how_often_a_point_was_known_from_earlier() -> None:
    searched = made.searched([RIGHT] * 2)
    searched.measured[0] = [dataclasses.replace(m, kept=True) for m in searched.measured[0]]
    searched.measured[1][0] = dataclasses.replace(searched.measured[1][0], kept=True)
    assert [(p.kept, p.times) for p in conclude(ASKED, searched, 1.0).measured] == [(2, 2), (1, 2)]


def test_the_trace_is_that_of_the_last_measurement_that_left_one() -> None:
    searched = made.searched([RIGHT] * 2)
    traces = {0: ("runs/001/a", "runs/002/a"), 1: ("runs/001/b", None)}
    for i, of in traces.items():
        pairs = zip(searched.measured[i], of, strict=True)
        searched.measured[i] = [dataclasses.replace(m, trace=trace) for m, trace in pairs]
    assert [p.trace for p in conclude(ASKED, searched, 1.0).measured] == ["runs/002/a", "runs/001/b"]


def test_a_search_that_goes_on_says_so() -> None:
    searched = hunt.begin(made.line(40))
    begun = conclude(ASKED, searched, 0.0)
    assert not begun.complete
    assert begun.left > 0
    assert begun.measured == begun.inferred == begun.boundaries == []
    assert begun.allowed == search.allowance(40, 0)
    for i, outcome in ((0, RIGHT), (39, DROPPED)):
        searched.add(i, made.measured(label(i), outcome))
    half = conclude(ASKED, searched, 0.0)
    assert (half.complete, half.inferred) == (False, [])
    assert [(b.before, b.after, len(b.between)) for b in half.boundaries] == [("0.0.0", "0.3.9", 38)]
    assert [p.label for p in half.measured] == ["0.0.0", "0.3.9"]

"""The loop between the search and what measures, with made-up measurements."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisection import hunt, search
from harness.bisection.hunt import Hunt
from harness.bisection.measure import Measured
from harness.bisection.point import Point
from harness.bisection.search import Boundary, Outcome
from tests.harness.bisection import made
from tests.harness.bisection.made import CRASH, DROPPED, HOLE, RIGHT, SCALED, World, ignore

TRUTH = [RIGHT] * 12 + [DROPPED] * 9 + [HOLE] * 2 + [SCALED] * 10 + [RIGHT] * 7
truths = st.lists(
    st.tuples(st.sampled_from([RIGHT, DROPPED, SCALED, HOLE, CRASH]), st.integers(1, 9)), min_size=1, max_size=6
).map(lambda runs: [outcome for outcome, length in runs for _ in range(length)])


def run(truth: list[Outcome], thorough: bool = False) -> tuple[Hunt, World]:
    searched, world = hunt.begin(made.line(len(truth)), thorough), made.world(truth)
    hunt.run(searched, world.measure, world, ignore)
    return searched, world


def test_every_boundary_is_found() -> None:
    searched, _ = run(TRUTH)
    assert search.boundaries(searched.seen) == (Boundary(11, 12), Boundary(20, 23, (21, 22)), Boundary(32, 33))
    assert searched.wanted() == ()


@settings(deadline=None)
@given(truths)
def test_a_round_is_asked_for_at_once_and_all_of_it_is_kept(truth: list[Outcome]) -> None:
    searched, world = hunt.begin(made.line(len(truth))), made.world(truth)
    known: list[int] = []

    def keep(so_far: Hunt) -> None:
        assert so_far is searched
        known.append(sum(map(len, so_far.measured.values())))

    hunt.run(searched, world.measure, world, keep)
    assert all(len(set(asked)) == len(asked) > 0 for asked in world.rounds)
    assert known == list(accumulate(map(len, world.rounds)))
    assert len(world.rounds) < known[-1] or known[-1] <= 2
    for i, found in searched.measured.items():
        label = made.point(i).label
        assert len(found) == sum(asked.count(label) for asked in world.rounds)
        assert {m.version for m in found} == {label}


def test_measuring_again_is_told_from_measuring_once() -> None:
    """The second of a point's measurements is asked for as such, or the history would give the first one again."""
    searched = made.searched([RIGHT] * 6 + [DROPPED] * 6, flaky={6: RIGHT})
    assert [m.outcome for m in searched.measured[6]] == [DROPPED, RIGHT]


@settings(deadline=None)
@given(truths, st.integers(0, 6))
def test_an_interrupted_search_goes_on_where_it_was(truth: list[Outcome], patience: int) -> None:
    whole, straight = run(truth)
    kept = [hunt.begin(made.line(len(truth)))]
    stopped = made.world(truth, patience=patience)
    if patience < len(straight.rounds):
        with pytest.raises(KeyboardInterrupt):
            hunt.run(copy.deepcopy(kept[0]), stopped.measure, stopped, lambda h: kept.append(copy.deepcopy(h)))
        assert len(kept) == patience + 1
        rest = made.world(truth)
        hunt.run(kept[-1], rest.measure, rest, ignore)
        assert stopped.rounds + rest.rounds == straight.rounds
        assert kept[-1].seen == whole.seen


def test_a_finished_search_asks_nothing() -> None:
    searched, _ = run(TRUTH)
    world = made.world(TRUTH)
    hunt.run(searched, world.measure, world, lambda _: pytest.fail("there is nothing new to keep"))
    assert world.rounds == world.told == []


def test_what_was_measured_at_first_is_in_the_other_modes_too() -> None:
    short, first = run(TRUTH)
    thorough = Hunt(short.line, short.survey, True, copy.deepcopy(short.measured))
    world = made.world(TRUTH)
    hunt.run(thorough, world.measure, world, ignore)
    assert {label for asked in world.rounds for label in asked}.isdisjoint(label for r in first.rounds for label in r)
    assert set(thorough.measured) == set(range(len(TRUTH)))


@settings(deadline=None)
@given(truths)
def test_the_watcher_is_told_before_every_round(truth: list[Outcome]) -> None:
    searched, world = run(truth)
    before = [0, *accumulate(map(len, world.rounds))][:-1]
    assert [measured for measured, _ in world.told] == before
    assert all(left >= len(asked) for (_, left), asked in zip(world.told, world.rounds, strict=True))
    assert searched.left == 0


def test_what_comes_from_the_history_is_not_made_now() -> None:
    """Only what this process measures tells how long a measurement takes."""
    there = made.world(TRUTH)

    def measure(points: Sequence[Point], earlier: Sequence[int]) -> list[Measured]:
        found = there.measure(points, earlier)
        return [replace(one, kept=len(there.rounds) == 1) for one in found]

    hunt.run(hunt.begin(made.line(len(TRUTH))), measure, there, ignore)
    assert there.made[:2] == [0, 0]
    assert {known - now for (known, _), now in zip(there.told[1:], there.made[1:], strict=True)} == {
        len(there.rounds[0])
    }


@settings(deadline=None)
@given(st.integers(2, 120))
def test_what_is_left_falls_where_nothing_changes(total: int) -> None:
    _, world = run([RIGHT] * total)
    lefts = [left for _, left in world.told]
    assert lefts == sorted(lefts, reverse=True)


def test_what_is_left_falls_while_a_boundary_is_narrowed_down() -> None:
    _, world = run([RIGHT] * 40 + [DROPPED] * 60)
    lefts = [left for _, left in world.told]
    narrowing = lefts[1:]
    assert narrowing == sorted(narrowing, reverse=True)
    assert len(set(narrowing)) > 2
    assert narrowing[-1] == len(world.rounds[-1])


def test_everything_is_measured_if_that_is_asked() -> None:
    searched, world = run(TRUTH, thorough=True)
    assert len(world.rounds[0]) == len(TRUTH)
    assert sorted(world.rounds[1]) == sorted(made.point(i).label for i in (0, 11, 12, 20, 23, 32, 33, 39))
    assert len(world.rounds) == 2
    assert search.inferred(len(TRUTH), searched.seen) == {}


def test_between_two_days_that_agree_nothing_is_asked() -> None:
    world = made.world([RIGHT] * 50)
    hunt.run(hunt.begin(made.line(50, ends_only=True)), world.measure, world, ignore)
    assert {label for asked in world.rounds for label in asked} == {"0.0.0", "0.4.9"}


def test_the_ends_of_a_series_are_surveyed() -> None:
    """DeepSpeed's changes came with 0.15, 0.18 and 0.19: where a series begins or ends they are likeliest."""
    searched = hunt.begin(made.line(40))
    assert {9, 10, 19, 20, 29, 30} <= set(searched.survey[:8])
    assert searched.survey[:2] == (0, 39)

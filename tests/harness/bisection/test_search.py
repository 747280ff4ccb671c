"""The search against brute force: random histories with many boundaries, holes and flaky points."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisection import search
from harness.bisection.search import Boundary, Outcome

RIGHT = Outcome("pass")
HOLE = Outcome("uninstallable")
KINDS = (RIGHT, Outcome("fail", ("dropped",)), Outcome("fail", ("scale",)), Outcome("fail", ("dropped", "scale")),
         Outcome("unsupported"))  # fmt: skip
TELLING = st.sampled_from(KINDS)


class Line:
    """A made-up history that counts what is asked of it. `flaky`: points whose every second measurement differs."""

    def __init__(self, truth: list[Outcome], flaky: frozenset[int] = frozenset()) -> None:
        self.truth = truth
        self.flaky = flaky
        self.seen: dict[int, list[Outcome]] = {}

    def measure(self, point: int) -> None:
        outcomes = self.seen.setdefault(point, [])
        odd = point in self.flaky and len(outcomes) % 2
        outcomes.append(Outcome("fail", ("flaky",)) if odd else self.truth[point])

    def searched(self, survey: tuple[int, ...] | None = None, thorough: bool = False) -> tuple[Boundary, ...]:
        chosen = search.spread(len(self.truth)) if survey is None else survey
        for _ in range(3 * len(self.truth) + 3):
            points = search.wanted(len(self.truth), self.seen, chosen, thorough)
            if not points:
                return search.boundaries(self.seen)
            assert len(set(points)) == len(points)
            for point in points:
                assert len(self.seen.get(point, ())) < 2, "a point is measured a third time"
                self.measure(point)
        raise AssertionError("the search does not end")

    @property
    def ran(self) -> int:
        return sum(outcomes[0] != HOLE for outcomes in self.seen.values())


def brute(truth: list[Outcome]) -> list[tuple[int, int]]:
    """Every change between points that tell something."""
    told = [i for i, outcome in enumerate(truth) if outcome.tells]
    return [(a, b) for a, b in pairwise(told) if truth[a] != truth[b]]


def ends(found: tuple[Boundary, ...]) -> list[tuple[int, int]]:
    return [(b.before, b.after) for b in found]


@st.composite
def runs(draw: st.DrawFn, shortest: int = 1, most: int = 6) -> list[Outcome]:
    """A history of stretches, each of another outcome than the one before."""
    truth: list[Outcome] = []
    for _ in range(draw(st.integers(1, most))):
        others = [kind for kind in KINDS if not truth or kind != truth[-1]]
        truth += [draw(st.sampled_from(others))] * draw(st.integers(shortest, shortest + 12))
    return truth


histories = st.lists(st.one_of(TELLING, st.sampled_from([HOLE, Outcome("unknown")])), min_size=1, max_size=40)


@given(histories)
def test_measuring_everything_is_brute_force(truth: list[Outcome]) -> None:
    line = Line(truth)
    assert ends(line.searched(thorough=True)) == brute(truth)


@given(histories, st.data())
def test_what_is_claimed_is_so_and_was_measured_twice(truth: list[Outcome], data: st.DataObject) -> None:
    flaky = frozenset(data.draw(st.sets(st.integers(0, len(truth) - 1), max_size=3)))
    flaky = frozenset(i for i in flaky if truth[i].tells)
    line = Line(truth, flaky)
    for boundary in line.searched():
        assert truth[boundary.before] != truth[boundary.after]
        assert boundary.between == tuple(range(boundary.before + 1, boundary.after))
        for side in (boundary.before, boundary.after):
            assert line.seen[side] == [truth[side]] * 2
        for point in boundary.between:
            assert not truth[point].tells or point in flaky or point not in line.seen
        if any(point not in line.seen for point in boundary.between):
            assert line.ran >= search.allowed(len(truth), line.seen), "there was room to look further"
    told = [i for i in range(len(truth)) if search.settled(line.seen, i) is not None]
    if told:
        assert len(line.seen[told[0]]) == len(line.seen[told[-1]]) == 2
        for outside in (told[0] - 1, told[-1] + 1):
            known = outside in (-1, len(truth)) or not truth[outside].tells or outside in flaky
            assert known or line.ran >= search.allowed(len(truth), line.seen)


@given(runs())
def test_every_change_of_outcome_that_is_not_undone_is_found(truth: list[Outcome]) -> None:
    """Where each outcome comes once, nothing can hide, whatever the survey is."""
    firsts = list(dict.fromkeys(truth))
    once = sorted(truth, key=firsts.index)
    line = Line(once)
    assert ends(line.searched(search.spread(len(once), finest=len(once)))) == brute(once)


@given(runs(shortest=6))
def test_every_boundary_is_found_where_no_stretch_is_shorter_than_the_survey(truth: list[Outcome]) -> None:
    """However often a stretch comes back, when the survey has a point in each."""
    line = Line(truth)
    survey = search.spread(len(truth), finest=5)
    found = line.searched(survey)
    if all(point in line.seen for point in survey):
        assert ends(found) == brute(truth)


@given(runs(most=8))
def test_no_more_is_measured_than_allowed(truth: list[Outcome]) -> None:
    line = Line(truth)
    found = line.searched()
    assert line.ran <= max(1, len(found)) * (2 * math.log2(len(truth)) + 2) or line.ran <= 3


@given(histories)
def test_no_more_is_measured_than_allowed_where_many_tell_nothing(truth: list[Outcome]) -> None:
    line = Line(truth)
    line.searched()
    assert line.ran <= max(3, search.allowed(len(truth), line.seen))


def test_a_wide_stretch_that_tells_nothing_is_measured_at_its_ends() -> None:
    crash = Outcome("unknown")
    line = Line([RIGHT] * 20 + [crash] * 60 + [KINDS[1]] * 20)
    (found,) = line.searched()
    assert (found.before, found.after) == (19, 80)
    assert line.ran <= 15


@given(runs(), st.data())
def test_inferred_points_lie_between_points_that_agree(truth: list[Outcome], data: st.DataObject) -> None:
    line = Line(truth)
    line.searched()
    taken = search.inferred(len(truth), line.seen)
    assert set(taken) | set(line.seen) == set(range(len(truth)))
    assert not set(taken) & set(line.seen)


@given(st.integers(1, 300), st.data())
def test_a_survey_begins_with_both_ends_and_leaves_no_wide_gap(total: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, total - 1), max_size=10))
    survey = search.spread(total, sorted(chosen))
    assert len(set(survey)) == len(survey)
    assert survey[:2] == ((0, total - 1) if total > 1 else (0,))
    assert chosen <= set(survey[: 2 + len(chosen)])
    assert all(b - a <= 4 for a, b in pairwise(sorted(survey)))


def test_a_window_between_equal_ends_is_found_by_the_survey() -> None:
    truth = [RIGHT] * 22 + [KINDS[1]] * 4 + [RIGHT] * 20
    assert ends(Line(truth).searched(search.spread(46, [22, 23]))) == [(21, 22), (25, 26)]


def test_what_does_not_install_makes_the_boundary_a_range() -> None:
    truth = [RIGHT] * 5 + [HOLE] * 3 + [KINDS[1]] * 5
    assert Line(truth).searched() == (Boundary(4, 8, (5, 6, 7)),)


def test_a_flaky_side_is_searched_around() -> None:
    truth = [RIGHT] * 6 + [KINDS[1]] * 6
    line = Line(truth, frozenset({6}))
    assert line.searched() == (Boundary(5, 7, (6,)),)
    assert search.unstable(line.seen, 6)


def test_nothing_that_tells_gives_no_boundary() -> None:
    line = Line([HOLE] * 9)
    assert line.searched() == ()
    assert line.ran == 0


@given(st.integers(0, 100), st.integers(1, 60), st.integers(0, 100))
def test_where_a_line_ends_in_crashes_few_of_them_are_run(before: int, telling: int, after: int) -> None:
    crash = Outcome("unknown")
    line = Line([crash] * before + [RIGHT] * telling + [crash] * after)
    assert line.searched() == ()
    told = [i for i in line.seen if search.settled(line.seen, i) is not None]
    if told:
        assert (min(told), max(told)) == (before, before + telling - 1)
    assert line.ran <= search.allowed(len(line.truth), line.seen) <= 2 * (2 * math.log2(len(line.truth)) + 2)


def remaining(truth: list[Outcome]) -> list[tuple[int, int]]:
    """Before every round: how many measurements the search expects to come, and how many came."""
    line, survey, expected = Line(truth), search.spread(len(truth), range(0, len(truth), 5)), []
    while points := search.wanted(len(truth), line.seen, survey):
        done = sum(map(len, line.seen.values()))
        expected.append((done, search.left(len(truth), line.seen, survey)))
        for point in points:
            line.measure(point)
    total = sum(map(len, line.seen.values()))
    return [(left, total - done) for done, left in expected]


@pytest.mark.parametrize(
    "truth",
    [
        [RIGHT] * 30 + [KINDS[1]] * 30,
        [HOLE] * 20 + [RIGHT] * 30 + [KINDS[1]] * 10,
        [RIGHT] * 20 + [HOLE] * 30 + [KINDS[1]] * 10,
        [RIGHT] * 30 + [KINDS[1]] * 10 + [HOLE] * 20,
    ],
    ids=["all install", "the oldest do not install", "the middle does not", "the newest do not"],
)
def test_what_is_left_foresees_what_does_not_install(truth: list[Outcome]) -> None:
    (first, came), *rounds = remaining(truth)
    assert came / 3 < first < 1.5 * came
    assert all(0.8 * came < left < 1.3 * came for left, came in rounds)


@given(st.integers(4, 60), st.data())
def test_what_is_left_is_exact_where_the_rest_is_like_its_neighbours(total: int, data: st.DataObject) -> None:
    survey = search.spread(total)
    points = data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=6, unique=True))
    seen = {point: [data.draw(st.one_of(TELLING, st.just(HOLE)))] for point in points}
    nearest = [min(points, key=lambda other: (abs(other - point), other)) for point in range(total)]
    line = Line([seen[other][0] for other in nearest])
    line.seen = {point: list(outcomes) for point, outcomes in seen.items()}
    left = search.left(total, seen, survey)
    line.searched(survey)
    assert left == sum(map(len, line.seen.values())) - len(points)


@given(histories)
@settings(max_examples=50)
def test_what_is_left_falls_to_zero(truth: list[Outcome]) -> None:
    line = Line(truth)
    survey = search.spread(len(truth))
    assert search.left(len(truth), {}, survey) > 0
    line.searched(survey)
    assert search.left(len(truth), line.seen, survey) == 0

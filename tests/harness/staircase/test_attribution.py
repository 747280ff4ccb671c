"""Shares of a gap: laws that hold of any scores, and numbers made by hand."""

from __future__ import annotations

import itertools
import math
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.staircase.attribution import gap, interaction, shapley

FIXES = ("a", "b", "c")
NUMBERS = st.floats(-1e3, 1e3)


def combinations(count: int) -> list[frozenset[str]]:
    names = FIXES[:count]
    return [frozenset(some) for size in range(count + 1) for some in itertools.combinations(names, size)]


SCORES = st.integers(1, 3).flatmap(lambda count: st.fixed_dictionaries(dict.fromkeys(combinations(count), NUMBERS)))
NONE = frozenset[str]()


@given(SCORES)
def test_what_fixes_bring_adds_up_to_the_gap(scores: dict[frozenset[str], float]) -> None:
    assert math.fsum(shapley(scores).values()) == pytest.approx(gap(scores), abs=1e-9)


@given(SCORES)
def test_it_is_the_mean_over_all_orders(scores: dict[frozenset[str], float]) -> None:
    found: dict[str, list[float]] = {}
    for order in itertools.permutations(NONE.union(*scores)):
        for at, fix in enumerate(order):
            before = frozenset(order[:at])
            found.setdefault(fix, []).append(scores[before | {fix}] - scores[before])
    assert shapley(scores) == pytest.approx(
        {fix: statistics.fmean(brought) for fix, brought in found.items()}, abs=1e-9
    )


@given(SCORES, st.permutations(FIXES))
def test_names_do_not_matter(scores: dict[frozenset[str], float], names: list[str]) -> None:
    called = dict(zip(FIXES, names, strict=True))
    renamed = {frozenset(called[fix] for fix in mended): value for mended, value in scores.items()}
    wanted = {called[fix]: value for fix, value in shapley(scores).items()}
    assert shapley(renamed) == pytest.approx(wanted, abs=1e-9)
    assert interaction(renamed) == pytest.approx(interaction(scores), abs=1e-9)


@given(SCORES, st.randoms())
def test_the_order_of_arms_does_not_matter(scores: dict[frozenset[str], float], random: Random) -> None:
    arms = list(scores.items())
    random.shuffle(arms)
    assert shapley(dict(arms)) == shapley(scores)
    assert interaction(dict(arms)) == interaction(scores)


@given(SCORES)
def test_a_fix_that_brings_nothing_has_no_share(scores: dict[frozenset[str], float]) -> None:
    idle = {mended | extra: value for mended, value in scores.items() for extra in (NONE, frozenset({"idle"}))}
    assert shapley(idle)["idle"] == pytest.approx(0.0, abs=1e-9)


@given(st.fixed_dictionaries(dict.fromkeys(FIXES, NUMBERS)))
def test_fixes_that_add_up_have_no_interaction(alone: dict[str, float]) -> None:
    scores = {mended: math.fsum(alone[fix] for fix in mended) for mended in combinations(3)}
    assert interaction(scores) == pytest.approx(0.0, abs=1e-9)
    assert shapley(scores) == pytest.approx(alone, abs=1e-9)


def test_the_papers_numbers() -> None:
    """48.3 as released, 49.1 with the loss, 53.4 with the optimizer, 54.0 with both (arXiv 2604.23747, Table 2)."""
    scores = {
        NONE: 48.3,
        frozenset({"loss"}): 49.1,
        frozenset({"optimizer"}): 53.4,
        frozenset({"loss", "optimizer"}): 54.0,
    }
    assert gap(scores) == pytest.approx(5.7)
    assert shapley(scores) == pytest.approx({"loss": 0.7, "optimizer": 5.0})
    assert interaction(scores) == pytest.approx(-0.2)

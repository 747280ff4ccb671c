"""Mixtures of datasets as a plan has them: what they hold, and where one cannot be seen and so is not planted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from adapters import mixtures
from adapters.contract import vary

BASE = scenarios.get("sft-ragged-epochs")
SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=4)


@given(SIZES)
def test_what_mixtures_hold(sizes):
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    datasets = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    held = {name: Counter(mix(datasets)) for name, mix in mixtures.MIXED.items()}
    every = Counter(range(sum(sizes)))
    assert held["lacking"] + Counter(datasets[1]) == every
    assert held["doubling"] - Counter(datasets[1]) == every
    assert held["in-turn"] <= every
    assert held["in-turn"].total() == len(sizes) * min(sizes)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "there is one dataset"),
        ({"parts": (14,)}, "there is one dataset"),
        ({"parts": (5, 9), "resume_after": 1}, "datasets are mixed wrongly in one piece and unpacked alone"),
        ({"parts": (13, 1), "steps": 1}, "training ends before the rows are others than they should be"),
        ({"parts": (5, 9), "steps": 1, "order": "shuffled"}, "training ends within an epoch of a drawn order"),
    ],
)
def test_where_a_mixture_cannot_be_seen_it_is_the_right_one(changed, why):
    scenario = vary(BASE, **changed)
    assert mixtures.hidden(scenario, "lacking") == why
    assert mixtures.mixed(scenario, "lacking") == list(range(14))


def test_a_mixture_that_is_seen():
    scenario = vary(BASE, parts=(5, 3, 6))
    assert mixtures.hidden(scenario, "lacking") is None
    assert mixtures.mixed(scenario, "lacking") == [*range(5), *range(8, 14)]

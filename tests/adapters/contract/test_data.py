"""Several datasets in turn: which rows an epoch has, and in which order."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from adapters.contract import vary

PLAIN = scenarios.get("sft-ragged")
SIZES = st.lists(st.integers(1, 8), min_size=2, max_size=4)


def mixed(sizes: list[int], mixing: str) -> tuple[int, ...]:
    rows = PLAIN.data.rows[:1] * sum(sizes)
    return vary(PLAIN, rows=rows, parts=tuple(sizes), mixing=mixing).data.mixed


@given(SIZES)
def test_each_row_once_or_no_more_often_than_datasets_are_begun(sizes: list[int]) -> None:
    every = range(sum(sizes))
    assert sorted(mixed(sizes, "in-turn-once")) == list(every)
    first, last = mixed(sizes, "in-turn-until-first"), mixed(sizes, "in-turn-until-last")
    assert len(set(first)) == len(first) == min(sizes) * len(sizes)
    assert set(last) == set(every)
    assert len(last) == max(sizes) * len(sizes)
    assert max(Counter(last).values()) == -(-max(sizes) // min(sizes))


@given(SIZES)
def test_all_ways_begin_alike(sizes: list[int]) -> None:
    first = mixed(sizes, "in-turn-until-first")
    for other in ("in-turn-until-last", "in-turn-once"):
        assert mixed(sizes, other)[: len(first)] == first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "data.mixing is in-turn-once, not concatenated with one dataset"),
        ({"parts": (8, 16), "order": "shuffled"}, "not concatenated but in the given order, a row a sequence"),
        ({"parts": (8, 16), "rows_per_sequence": 2}, "not concatenated but in the given order, a row a sequence"),
    ],
)
def test_limits(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vary(PLAIN, mixing="in-turn-once", **changed).check()

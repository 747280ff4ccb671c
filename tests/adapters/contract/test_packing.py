"""Rows that are put together by their tokens: each once, within the room, and as many micro-batches on every rank."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from adapters.contract import vary
from adapters.contract.packing import balanced

LENGTHS = st.integers(1, 6).flatmap(
    lambda count: st.lists(st.lists(st.integers(1, 20), min_size=count, max_size=count), min_size=1, max_size=4)
)


@given(LENGTHS, st.integers(20, 60))
def test_every_row_once_within_the_room_and_as_many_on_every_rank(lengths: list[list[int]], room: int) -> None:
    made = balanced(lengths, room)
    assert len({len(parts) for parts in made}) == 1
    for own, parts in zip(lengths, made, strict=True):
        assert sorted(i for part in parts for i in part) == list(range(len(own)))
        assert all(len(part) > 0 and sum(own[i] for i in part) <= room for part in parts)


@given(LENGTHS)
def test_what_fits_is_one_micro_batch(lengths: list[list[int]]) -> None:
    assert {len(parts) for parts in balanced(lengths, max(map(sum, lengths)))} == {1}


@given(st.integers(64, 300))
def test_a_step_keeps_its_rows(room: int) -> None:
    plain = scenarios.get("sft-ragged")
    made = vary(plain, micro_batch_tokens=room)
    made.check()
    for step in range(plain.window.steps):
        assert sorted(made.step_rows(step)) == sorted(plain.step_rows(step))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"micro_batch_tokens": 1}, "window.micro_batch_tokens is 1, not at least 2"),
        ({"micro_batch_tokens": 9}, "which the longest row has"),
        ({"micro_batch_tokens": 99, "rows_per_sequence": 2, "accumulation": 2}, "not none where rows share sequences"),
        ({"micro_batch_tokens": 99, "order": "shuffled"}, "not none but in the given order"),
    ],
)
def test_limits(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vary(scenarios.get("sft-ragged"), **changed).check()

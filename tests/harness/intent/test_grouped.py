"""An order by length keeps what samplers promise, and a shuffled one hardly ever does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.intent.grouped import Sampler, chance, epochs, keeps
from harness.intent.intent import Drawn, Group, Intent, Rule


def sampled(lengths: list[int], sampler: Sampler, seed: int) -> list[int]:
    """As transformers' documentation of it says: shuffled, cut into groups, each sorted, the longest row first."""
    order = random.Random(seed).sample(range(len(lengths)), len(lengths))
    size = sampler.group(len(lengths))
    groups = [sorted(order[at : at + size], key=lambda row: -lengths[row]) for at in range(0, len(lengths), size)]
    longest = max(range(len(groups)), key=lambda number: lengths[groups[number][0]])
    groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
    return [row for group in groups for row in group]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_what_a_sampler_makes_is_kept(lengths: list[int], batch: int, seed: int) -> None:
    sampler = Sampler(batch)
    order = sampled(lengths, sampler, seed)
    assert keeps(order, dict(enumerate(lengths)), sampler.group(len(lengths)))


@pytest.mark.parametrize(("rows", "batch", "group"), [(16, 4, 4), (64, 4, 16), (3, 4, 4), (2000, 4, 200), (10, 1, 2)])
def test_how_many_rows_are_sorted_together(rows: int, batch: int, group: int) -> None:
    assert Sampler(batch).group(rows) == group


def test_one_row_alone_may_stand_where_its_length_would_not_put_it() -> None:
    lengths = dict(enumerate([9, 5, 4, 1, 3, 2, 8, 7]))
    assert keeps([0, 1, 2, 3, 6, 7, 4, 5], lengths, 4)
    assert keeps([0, 1, 2, 3, 5, 6, 7, 4], lengths, 4)  # the first of the second group
    assert not keeps([0, 2, 1, 3, 6, 7, 4, 5], lengths, 4)
    assert not keeps([3, 0, 1, 2, 5, 6, 7, 4], lengths, 4)  # the firsts of both


@pytest.mark.parametrize("lengths", [[1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 2, 2, 3, 3, 4, 4]])
def test_a_shuffled_order_keeps_it_as_seldom_as_is_said(lengths: list[int]) -> None:
    own, rows, drawn, draws = dict(enumerate(lengths)), list(range(8)), random.Random(0), 20_000
    kept = sum(keeps(drawn.sample(rows, 8), own, 4) for _ in range(draws))
    assert 0 < kept / draws <= chance(rows, own, 4)


def test_rows_of_one_length_tell_nothing() -> None:
    assert chance(range(16), dict.fromkeys(range(16), 7), 4) == 1.0


def test_orders_are_read_as_they_were_dealt() -> None:
    """By micro-batch, or by row; without what fills up the end of an epoch."""
    windows = (((((0, 1)), ((2, 3))), (((4,)), ((0,)))),)
    rule = Rule((Group(("*",)),))
    intent = Intent(
        rule, steps=1, ranks=2, accumulation=2, micro_batch_size=2, windows=windows, drawn=Drawn(5, 6, grouped=True)
    )
    assert epochs(intent, 1, by_row=False) == [[0, 1, 2, 3, 4]]
    assert epochs(intent, 1, by_row=True) == [[0, 2, 1, 3, 4]]

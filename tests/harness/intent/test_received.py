"""What a framework chooses is taken as it was received, unless it breaks what must hold of any choice."""

from __future__ import annotations

from itertools import chain
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.intent.intent import Drawn
from harness.intent.received import mended

ORDER = [3, 0, 4, 1, 2]
AGAIN = [1, 4, 2, 0, 3]


T = TypeVar("T")


def batched(values: list[T], size: int) -> list[list[T]]:
    return [values[at : at + size] for at in range(0, len(values), size)]


def cut(rows: list[int | None], *places: int) -> list[list[int | None]]:
    left = iter(rows)
    return [[next(left) for _ in range(count)] for count in places]


@given(st.data())
def test_orders_that_keep_every_row_once_are_taken_as_they_are(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 9))
    epoch = data.draw(st.integers(1, 4 * rows))
    orders = [data.draw(st.permutations(range(rows))) for _ in range(3)]
    dealt = [row for order in orders for row in (order * 4)[:epoch]]
    steps = batched(dealt, data.draw(st.integers(1, 5)))
    assert mended(Drawn(rows, epoch), [len(step) for step in steps], steps) == steps


@given(st.data())
def test_whatever_was_received_each_epoch_has_every_row_once(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 9))
    received = data.draw(st.lists(st.lists(st.none() | st.integers(0, 12), max_size=9), max_size=9))
    places = [data.draw(st.integers(0, 9)) for _ in received]
    found = mended(Drawn(rows, rows), places, received)
    assert [len(step) for step in found] == places
    for epoch in batched(list(chain.from_iterable(found)), rows):
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(rows))


@pytest.mark.parametrize(
    ("epoch", "received", "places", "right"),
    [
        # a row that comes twice, and one that is lost for it
        (5, [3, 0, 0, 1, 2], (2, 3), [3, 0, 4, 1, 2]),
        # the end of an epoch is lost: the next one begins too early
        (5, [3, 0, 4, 1, 4, 0], (4, 2), [3, 0, 4, 1, 2, 0]),
        # the last round is filled by the rows that came first
        (6, [*ORDER, 3, *AGAIN, 1], (6, 6), [*ORDER, 3, *AGAIN, 1]),
        (6, [*ORDER, 4], (6,), [*ORDER, 3]),
        # the rows fill a window several times
        (12, [*ORDER, *ORDER, 3, 0], (12,), [*ORDER, *ORDER, 3, 0]),
        # the last row of the order is dropped
        (4, [3, 0, 4, 1, 1, 4, 2, 0], (4, 4), [3, 0, 4, 1, 1, 4, 2, 0]),
        # something that is no row, or a row that is none of the scenario's
        (5, [3, None, 4, 9, 2], (5,), [3, 0, 4, 1, 2]),
    ],
)
def test_the_rows_that_should_have_been_there(
    epoch: int, received: list[int | None], places: tuple[int, ...], right: list[int]
) -> None:
    found = mended(Drawn(5, epoch), places, cut(received, *places))
    assert list(chain.from_iterable(found)) == right


def test_a_step_that_received_too_little_or_too_much_does_not_move_the_others() -> None:
    found = mended(Drawn(6, 6), [2, 2, 2], [[0], [1, 2, 3], [4, 5]])
    assert found == [[0, 3], [1, 2], [4, 5]]

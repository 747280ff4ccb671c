"""What a framework chooses is taken as it was received, unless it breaks what must hold of any choice."""

from __future__ import annotations

import time
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
    assert mended(Drawn(rows, epoch), [len(step) for step in steps], steps).steps == steps


@given(st.data())
def test_whatever_was_received_each_epoch_has_every_row_once(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 9))
    received = data.draw(st.lists(st.lists(st.none() | st.integers(0, 12), max_size=9), max_size=9))
    places = [data.draw(st.integers(0, 9)) for _ in received]
    found = mended(Drawn(rows, rows), places, received).steps
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
    found = mended(Drawn(5, epoch), places, cut(received, *places)).steps
    assert list(chain.from_iterable(found)) == right


def test_a_step_that_received_too_little_or_too_much_does_not_move_the_others() -> None:
    found = mended(Drawn(6, 6), [2, 2, 2], [[0], [1, 2, 3], [4, 5]]).steps
    assert found == [[0, 3], [1, 2], [4, 5]]


FILLED = Drawn(5, 5, anew=False, free=True, filled=True)


@pytest.mark.parametrize(
    ("received", "rounds", "right"),
    [
        # two ranks with a sequence each: the last round is filled by the first sequence of the epoch
        ([3, 0, 4, 1, 2, 3, 0, 1, 4, 2, 0, 3], (3, 4, 7), [3, 0, 4, 1, 2, 3, 0, 1, 4, 2, 0, 3]),
        # another row there begins the next epoch
        ([3, 0, 4, 1, 2, 4], (3, 4, 6), [3, 0, 4, 1, 2, 4]),
        # a row that comes twice in its epoch, and one that never does
        ([3, 0, 0, 1, 2, 4, 3], (3, 5, 7), [3, 0, 4, 1, 2, 4, 3]),
        # the next epoch begins with the next round, by the same rows
        ([*ORDER, *ORDER], (5, 10), [*ORDER, *ORDER]),
    ],
)
def test_an_epoch_may_end_with_its_first(received: list[int], rounds: tuple[int, ...], right: list[int]) -> None:
    (found,) = mended(FILLED, [len(received)], [received], rounds).steps
    assert found == right


def test_epochs_begin_behind_what_fills_the_one_before() -> None:
    dealt: list[int | None] = [3, 0, 4, 1, 2, 3, 0, 1, 4, 2, 0, 3]
    assert mended(FILLED, [12], [dealt], (3, 4, 7)).begins == [7, 12]
    begun = Drawn(5, 5, filled=True, begins=(7, 12)).begun
    assert [begun(7), begun(8), begun(13)] == [[0], [0, 7], [0, 7, 12]]
    assert Drawn(5, 5).begun(11) == [0, 5, 10]


@given(st.data())
def test_what_is_packed_and_filled_is_taken_as_it_is(data: st.DataObject) -> None:
    ranks = data.draw(st.integers(1, 3))
    rows = data.draw(st.integers(ranks, 9))
    dealt: list[int] = []
    rounds: list[int] = []
    for _ in range(data.draw(st.integers(1, 3))):
        order = data.draw(st.permutations(range(rows)))
        sequences = [*batched(order, data.draw(st.integers(1, 3)))]
        sequences += sequences[: -len(sequences) % ranks] if len(sequences) >= ranks else []
        for together in batched(sequences, ranks):
            dealt += list(chain.from_iterable(together))
            rounds.append(len(dealt))
    kind = Drawn(rows, rows, anew=False, free=True, filled=True)
    assert mended(kind, [len(dealt)], [dealt], rounds).steps == [dealt]


def _seconds(epochs: int, rows: int) -> float:
    """Of this process, the least of three."""
    dealt = [list(range(rows)) for _ in range(epochs)]
    ends = list(range(1, epochs * rows + 1))
    taken = []
    for _ in range(3):
        before = time.process_time()
        found = mended(Drawn(rows, rows, free=True, filled=True), [rows] * epochs, dealt, ends)
        taken.append(time.process_time() - before)
        assert found.steps == dealt
    return min(taken)


@pytest.mark.parametrize(("epochs", "rows"), [(2_000, 5), (2, 5_000)])
def test_time_grows_with_rows_alone(epochs: int, rows: int) -> None:
    """Of many short epochs, and of few long ones: eight times as many rows take eight times as long, not 64."""
    many = (8 * epochs, rows) if epochs > rows else (epochs, 8 * rows)
    assert _seconds(*many) < 20 * _seconds(epochs, rows)

"""How far a bisection is, with a clock that goes by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.commands import pace
from harness.commands.pace import Pace, left, spoken


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pace, "time", made)
    return made


def test_before_anything_is_measured_no_time_is_promised(clock: Clock) -> None:
    told = Pace()
    told.asking(0, 0, 14)
    clock.now += 60
    assert told.tally(0) == "0 measured, about 14 left"


def test_the_time_left_is_that_of_those_before(clock: Clock) -> None:
    told = Pace()
    told.asking(0, 0, 10)
    clock.now += 20
    assert told.tally(1) == "1 measured, about 9 left, 3 min 0 s"
    clock.now += 10
    assert told.tally(3) == "3 measured, about 7 left, 1 min 10 s"


def test_a_round_begins_with_what_is_known_by_then(clock: Clock) -> None:
    told = Pace()
    told.asking(0, 0, 8)
    clock.now += 30
    told.tally(3)
    told.asking(3, 3, 11)  # a change was found
    assert told.tally(3) == "3 measured, about 11 left, 1 min 50 s"
    clock.now += 10
    assert told.tally(4) == "4 measured, about 10 left, 1 min 40 s"


def test_what_was_known_from_earlier_took_no_time(clock: Clock) -> None:
    """Five of the first round came from the history, and only what this process ran tells how long one takes."""
    told = Pace()
    told.asking(0, 0, 7)
    told.asking(5, 0, 4)
    assert told.tally(0) == "5 measured, about 4 left"
    clock.now += 12
    assert told.tally(1) == "6 measured, about 3 left, 36 s"


def test_what_does_not_install_took_its_time_too(clock: Clock) -> None:
    """Three of the first round never became cells, as what cannot even be resolved does not."""
    told = Pace()
    told.asking(0, 0, 4)
    clock.now += 40
    assert told.tally(1) == "1 measured, about 3 left, 2 min 0 s"
    told.asking(4, 4, 10)
    assert told.tally(1) == "4 measured, about 10 left, 1 min 40 s"


def test_finding_the_line_is_no_measuring(clock: Clock) -> None:
    told = Pace()
    clock.now += 500
    told.asking(0, 0, 3)
    clock.now += 5
    assert told.tally(1) == "1 measured, about 2 left, 10 s"


def test_more_than_was_thought_is_not_less_than_none(clock: Clock) -> None:
    told = Pace()
    told.asking(0, 0, 1)
    clock.now += 5
    assert told.tally(2) == "2 measured, about 0 left"


def test_the_last_one_leaves_none(clock: Clock) -> None:
    told = Pace()
    told.asking(9, 0, 1)
    clock.now += 5
    assert told.tally(1) == "10 measured, about 0 left"
    assert told.seconds == 5.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.6, "1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s"), (7261.0, "121 min 1 s")],
)
def test_spoken(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


@given(st.floats(0, 1e6))
def test_what_is_spoken_is_the_time(seconds: float) -> None:
    minutes, _, rest = spoken(seconds).removesuffix(" s").rpartition(" min ")
    assert 60 * int(minutes or 0) + int(rest) == round(seconds)
    assert 0 <= int(rest) < 60


def test_the_rest_takes_as_long_as_what_was_made() -> None:
    assert left(20.0, 4, 8) == ", about 40 s left"
    assert left(20.0, 0, 8) == left(20.0, 4, 0) == ""

"""Numbers over seeds: the interval by Student's t."""

from __future__ import annotations

import math

import pytest

from harness.seeds import Number, interval, number, told


def test_an_interval_by_students_t() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.sd) == (2.0, 1.0)
    assert (found.low, found.high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert found.within(-1, 5)
    assert not found.within(0, 5)
    single = interval([2.0])
    assert (single.sd, single.low, single.high) == (None, None, None)
    assert not single.within(1, 3)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_not_finite_has_no_interval(odd: float) -> None:
    found = interval([1.0, odd, 3.0])
    assert (found.sd, found.low, found.high) == (None, None, None)
    assert not found.within(-math.inf, math.inf)


def test_in_words() -> None:
    assert told(interval([2.0])) == "2 (one seed, no interval)"
    assert told(interval([1.0, 3.0])) == "2 (-10.7 to 14.7)"
    assert number(interval([2.0])) == Number(mean=2.0)

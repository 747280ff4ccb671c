from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from harness.environments.releases import Release
from harness.stock.reigns import Window, days_as_newest, newest_on, ordinary, two_years

JANUARY = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 31))


def release(version: str, day: int | None, yanked: bool = False, month: int = 1) -> Release:
    return Release(version, None if day is None else dt.date(2026, month, day), yanked)


def test_two_years_end_with_their_last_day() -> None:
    window = two_years(dt.date(2026, 11, 28))
    assert (window.first, window.last, window.days) == (dt.date(2024, 11, 29), dt.date(2026, 11, 28), 730)
    assert len(list(window)) == 730


def test_a_release_counts_from_its_day_to_the_day_before_the_next() -> None:
    found = [release("1.0", 3), release("1.1", 10), release("2.0", 31)]
    assert days_as_newest(found, JANUARY) == {None: 2, "1.0": 7, "1.1": 21, "2.0": 1}


def test_what_came_before_the_window_counts_within_it() -> None:
    found = [Release("0.9", dt.date(2020, 1, 1), False), release("1.0", 11), release("2.0", 1, month=2)]
    assert days_as_newest(found, JANUARY) == {"0.9": 10, "1.0": 21}


def test_of_two_on_one_day_the_higher_one() -> None:
    assert days_as_newest([release("1.0", 1), release("1.0.1", 1)], JANUARY) == {"1.0.1": 31}


def test_a_later_release_of_an_older_line_is_nobody_s_newest() -> None:
    assert days_as_newest([release("2.0", 1), release("1.9.1", 5)], JANUARY) == {"2.0": 31}


def test_what_an_installer_would_not_take_is_left_out() -> None:
    found = [release("1.0", 1), release("1.1", 2, yanked=True), release("2.0rc1", 3), release("3.0", None)]
    assert [r.version for r in ordinary(found)] == ["1.0"]
    assert days_as_newest(found, JANUARY) == {"1.0": 31}


DAYS = st.integers(1, 60).map(lambda n: dt.date(2025, 12, 1) + dt.timedelta(n))
RELEASES = st.dictionaries(st.integers(0, 9).map(lambda n: f"1.{n}"), DAYS).map(
    lambda told: [Release(version, day, False) for version, day in told.items()]
)


@given(RELEASES)
def test_the_days_add_up_and_the_newest_only_rises(found: list[Release]) -> None:
    counted = days_as_newest(found, JANUARY)
    assert sum(counted.values()) == JANUARY.days
    each = [newest_on(day, found) for day in JANUARY]
    assert {version: each.count(version) for version in dict.fromkeys(each)} == counted
    versions = [Version(version or "0") for version in each]
    assert versions == sorted(versions)

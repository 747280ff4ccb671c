"""Which release a stock install got on each day: a pure function of the days that an index tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.version import Version

from harness.environments.releases import Release

DAY = dt.timedelta(1)


@dataclass(frozen=True)
class Window:
    """A span of days, both ends included."""

    first: dt.date
    last: dt.date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[dt.date]:
        return (self.first + number * DAY for number in range(self.days))


def two_years(last: dt.date) -> Window:
    """The two years of 365 days that end with a day."""
    return Window(last - (2 * 365 - 1) * DAY, last)


def ordinary(found: Iterable[Release]) -> tuple[Release, ...]:
    """Releases that an installer takes without being asked for them: with a day, no pre-release and not withdrawn."""
    return tuple(r for r in found if r.date is not None and not r.prerelease and not r.yanked)


def newest_on(day: dt.date, found: Iterable[Release]) -> str | None:
    """The highest version by that day, which is what an installer takes; None before the first release."""
    return max((r.version for r in found if r.date is not None and r.date <= day), key=Version, default=None)


def days_as_newest(found: Iterable[Release], window: Window) -> dict[str | None, int]:
    """How many days of the window each release was what a stock install got; None: there was no release yet."""
    chosen = ordinary(found)
    counted: dict[str | None, int] = {}
    for day in window:
        version = newest_on(day, chosen)
        counted[version] = counted.get(version, 0) + 1
    return counted

"""A point of a line that is bisected: something that can be installed and run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from harness.environments.request import Request


class BadLine(Exception):
    """There is nothing to bisect; the message is one line with the remedy."""


@dataclass(frozen=True)
class Point:
    """One release, commit or environment."""

    label: str
    """What people call it: a version, the first digits of a commit, the packages that were swapped."""
    request: Request
    date: dt.date | None = None
    """Of its release, or of the commit."""
    series: str | None = None
    """Points of one series are minor steps apart; changes are likeliest between series."""
    told: str | None = None
    """What else there is to say: a commit's subject, that a release was yanked."""


@dataclass(frozen=True)
class Line:
    """What is bisected, oldest first."""

    points: tuple[Point, ...]
    of: str
    """The package whose releases these are, or what else differs between them."""
    ends_only: bool = False
    """Whether nothing is to be asked between two ends that agree."""

    @property
    def series_ends(self) -> tuple[int, ...]:
        """The first and the last point of every series."""
        last = len(self.points) - 1
        return tuple(
            i
            for i, point in enumerate(self.points)
            if i in (0, last) or point.series != self.points[i - 1].series or point.series != self.points[i + 1].series
        )

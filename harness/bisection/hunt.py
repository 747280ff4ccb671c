"""Asking the search what to measure and measuring it, until nothing is left to ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.bisection import search
from harness.bisection.measure import Measured
from harness.bisection.point import Line, Point

Measure = Callable[[Sequence[Point], Sequence[int]], list[Measured]]
"""Measures points, each of which was measured so many times before."""


class Watcher(Protocol):
    """Who is told how far a search is."""

    def asking(self, measured: int, made: int, left: int) -> None:
        """Before each round: how many measurements there are, how many of them were made now rather than taken from
        the history, and about how many are to come."""


@dataclass
class Hunt:
    """What is known of a line."""

    line: Line
    survey: tuple[int, ...]
    thorough: bool = False
    measured: dict[int, list[Measured]] = field(default_factory=dict)
    """By position on the line, in the order of measuring."""

    @property
    def seen(self) -> search.Seen:
        return {point: [m.outcome for m in found] for point, found in self.measured.items()}

    @property
    def left(self) -> int:
        """About how many measurements are still to come."""
        return search.left(len(self.line.points), self.seen, self.survey, self.thorough)

    def wanted(self) -> tuple[int, ...]:
        return search.wanted(len(self.line.points), self.seen, self.survey, self.thorough)

    def add(self, point: int, found: Measured) -> None:
        self.measured.setdefault(point, []).append(found)


def begin(line: Line, thorough: bool = False) -> Hunt:
    """A search of a line of which nothing is known yet."""
    total = len(line.points)
    survey = search.spread(total, finest=total) if line.ends_only else search.spread(total, line.series_ends)
    return Hunt(line, survey, thorough)


def run(hunt: Hunt, measure: Measure, watcher: Watcher, kept: Callable[[Hunt], None]) -> None:
    """Search to the end; `kept` is called after every round, so that what is known outlives an interruption."""
    while points := hunt.wanted():
        known = [one for found in hunt.measured.values() for one in found]
        watcher.asking(len(known), sum(not one.kept for one in known), hunt.left)
        earlier = [len(hunt.measured.get(point, ())) for point in points]
        found = measure([hunt.line.points[point] for point in points], earlier)
        for point, one in zip(points, found, strict=True):
            hunt.add(point, one)
        kept(hunt)

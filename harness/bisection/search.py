"""Which points of a line to measure next, and what follows from what was measured. Pure functions, no clock, no I/O.

A line is a row of releases, commits or environments, oldest first, known by position. What was measured is `Seen`:
by position, the outcomes in the order of measuring. A point tells something once all of its outcomes agree. One that
does not install, that crashes, or that gives two different outcomes tells nothing and is searched around, as
`git bisect skip` does; a boundary next to it becomes a range. Where the line begins or ends with such points, the
search goes to where they end; what lies behind them is not looked for.

Searching between two points that differ finds every change between them but those that are undone between two points
that agree. Against these there is the survey: points spread over the line, asked for before anything is inferred.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Verdict = Literal["pass", "fail", "unsupported", "unknown", "uninstallable"]


@dataclass(frozen=True)
class Outcome:
    """What one measurement of one point gave."""

    verdict: Verdict
    causes: tuple[str, ...] = ()
    """Fingerprint: what is wrong, and how. Releases that are wrong in different ways have different outcomes."""

    @property
    def tells(self) -> bool:
        return self.verdict in ("pass", "fail", "unsupported")


Seen = Mapping[int, Sequence[Outcome]]


@dataclass(frozen=True)
class Boundary:
    """Two points between which the outcome changes."""

    before: int
    after: int
    between: tuple[int, ...] = ()
    """Points between them: they tell nothing, or were not measured, for too many told nothing."""


def settled(seen: Seen, point: int) -> Outcome | None:
    """What a point tells; None if it was not measured, tells nothing, or says now this and now that."""
    outcomes = seen.get(point, ())
    return outcomes[0] if outcomes and outcomes[0].tells and not unstable(seen, point) else None


def unstable(seen: Seen, point: int) -> bool:
    """Whether two measurements of a point differ."""
    first, *others = seen.get(point) or (None,)
    return any(other != first for other in others)


def allowance(total: int, changes: int) -> int:
    """Most points to be measured on a line of `total`: 2 log2(total) + 2 for each change, once if there is none."""
    return int(max(1, changes) * (2 * math.log2(max(total, 1)) + 2))


def allowed(total: int, seen: Seen) -> int:
    """The allowance for what was found: changes, and where the part of the line begins and ends that can be told."""
    return allowance(total, len(list(_changes(seen))) + len(list(_edges(seen))))


def first_survey(total: int) -> int:
    """Points of the survey that are measured before any search: log2(total) + 2."""
    return int(math.log2(max(total, 1))) + 2


def wanted(total: int, seen: Seen, survey: Sequence[int], thorough: bool = False) -> tuple[int, ...]:
    """The points to measure next, all of which may be measured side by side; empty when the search is over.

    `survey` is in order of importance and begins with both ends of the line. Its first points come first, then what
    narrows a change down, then the rest of it, both as far as `allowed` goes; at last both ends of the line and both
    sides of every boundary once more. `thorough`: every point of the line, whatever it costs.
    """
    if total == 0:
        return ()
    if thorough:
        return tuple(i for i in range(total) if i not in seen) or _again(total, seen)
    return (
        _due(seen, survey[: first_survey(total)])
        or _narrowing(seen)[: max(0, _room(total, seen))]
        or _due(seen, survey)[: max(0, _room(total, seen))]
        or _again(total, seen)
    )


def boundaries(seen: Seen) -> tuple[Boundary, ...]:
    """Points that differ, with nothing between them that tells anything by now."""
    return tuple(Boundary(a, b, tuple(range(a + 1, b))) for a, b in _changes(seen))


def inferred(total: int, seen: Seen) -> dict[int, Outcome]:
    """What points that were not measured are taken for: what both of their neighbours are."""
    told = _told(seen)
    return {
        point: outcome
        for a, b in pairwise(told)
        if (outcome := settled(seen, a)) is not None and outcome == settled(seen, b)
        for point in range(a + 1, b)
        if point not in seen
    }


def left(total: int, seen: Seen, survey: Sequence[int], thorough: bool = False) -> int:
    """About how many measurements are still to come: what the search asks for if each point that was not measured is
    like the nearest one that was. So a stretch that does not install is foreseen from the first of its points on."""
    supposed = _supposed(total, seen)
    trial = {point: list(outcomes) for point, outcomes in seen.items()}
    count = 0
    while points := wanted(total, trial, survey, thorough):
        for point in points:
            trial.setdefault(point, []).append(supposed[point])
        count += len(points)
    return count


def spread(total: int, chosen: Sequence[int] = (), finest: int = 4) -> tuple[int, ...]:
    """A survey of a line: both ends, the `chosen` points, then points in the middle of the widest gaps.

    Each next point is the one farthest from those before it, so that any beginning of the survey is spread evenly.
    Gaps of fewer than `finest` steps are left.
    """
    if total == 0:
        return ()
    order = list(dict.fromkeys((0, total - 1)))
    waiting = sorted(set(chosen) - set(order))
    while waiting:
        order.append(max(waiting, key=lambda point: min(abs(point - other) for other in order)))
        waiting.remove(order[-1])
    while (gap := max(pairwise(sorted(order)), key=lambda g: g[1] - g[0], default=(0, 0)))[1] - gap[0] > finest:
        order.append(sum(gap) // 2)
    return tuple(order)


def _supposed(total: int, seen: Seen) -> list[Outcome]:
    """Every point's outcome if it is that of the nearest one measured; where none is, one change in the middle."""
    measured = sorted(seen)
    if not measured:
        return [Outcome("pass" if point < total // 2 else "fail") for point in range(total)]
    halfway = [(a + b) // 2 for a, b in pairwise(measured)]
    return [seen[measured[bisect.bisect_left(halfway, point)]][0] for point in range(total)]


def _told(seen: Seen) -> list[int]:
    return sorted(point for point in seen if settled(seen, point) is not None)


def _changes(seen: Seen) -> Iterator[tuple[int, int]]:
    """Points that tell, next to each other, and differ."""
    return ((a, b) for a, b in pairwise(_told(seen)) if settled(seen, a) != settled(seen, b))


def _edges(seen: Seen) -> Iterator[tuple[int, int]]:
    """The first and the last point that tells something, each with the nearest one outside that was measured."""
    if told := _told(seen):
        outside = [point for point in seen if point < told[0]]
        yield from [(max(outside), told[0])] if outside else []
        outside = [point for point in seen if point > told[-1]]
        yield from [(told[-1], min(outside))] if outside else []


def _due(seen: Seen, survey: Sequence[int]) -> tuple[int, ...]:
    return tuple(point for point in survey if point not in seen)


def _narrowing(seen: Seen) -> tuple[int, ...]:
    """The middle of a gap between any two points that differ."""
    gaps = (_gap(seen, a, b) for a, b in (*_changes(seen), *_edges(seen)))
    return tuple(sum(gap) // 2 for gap in gaps if gap is not None)


def _gap(seen: Seen, a: int, b: int) -> tuple[int, int] | None:
    """Two measured points from `a` to `b` with unmeasured ones between them; None if there are none.

    Those next to `a` or `b` come first: where what lies between is silent, its ends are worth more than its middle.
    """
    measured = [point for point in range(a, b + 1) if point in seen]
    gaps = [gap for gap in pairwise(measured) if gap[1] - gap[0] > 1]
    outer = [gap for gap in gaps if gap[0] == a or gap[1] == b]
    return max(outer or gaps, key=lambda gap: gap[1] - gap[0], default=None)


def _again(total: int, seen: Seen) -> tuple[int, ...]:
    """Ends of the line and sides of boundaries that were measured only once."""
    told = _told(seen)
    points = {*told[:1], *told[-1:], *(point for pair in _changes(seen) for point in pair)}
    return tuple(sorted(point for point in points if len(seen[point]) == 1))


def _room(total: int, seen: Seen) -> int:
    """How many more points may be measured."""
    ran = sum(outcomes[0].verdict != "uninstallable" for outcomes in seen.values() if outcomes)
    return allowed(total, seen) - ran

"""From what is known of a line to `bisect.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.bisection import search
from harness.bisection.hunt import Hunt
from harness.bisection.measure import Measured
from harness.bisection.point import Point
from harness.bisection.record import (
    Bisection,
    BoundaryRecord,
    InferredPoint,
    Kind,
    MeasuredPoint,
    PointRecord,
)
from harness.environments import recipes
from harness.environments.resolution import platform_tag
from harness.version import own_version


@dataclass(frozen=True)
class Asked:
    """What a bisection was asked for."""

    kind: Kind
    framework: str
    target: str
    scenario: str
    scenario_told: str
    cause: str | None
    patch: str | None
    command: str


def conclude(asked: Asked, hunt: Hunt, seconds: float) -> Bisection:
    """All that can be said by now."""
    points, seen = hunt.line.points, hunt.seen
    found = search.boundaries(seen)
    measured = {i: measured_point(points[i], hunt.measured[i]) for i in sorted(seen)}
    source = recipes.shipped().source(hunt.line.of) if asked.kind in ("releases", "underneath") else None
    return Bisection(
        lockstep=own_version(),
        kind=asked.kind,
        framework=asked.framework,
        target=asked.target,
        of=hunt.line.of,
        scenario=asked.scenario,
        scenario_told=asked.scenario_told,
        platform=platform_tag(),
        cause=asked.cause,
        patch=asked.patch,
        command=asked.command,
        source=source,
        order=[point.label for point in points],
        boundaries=[_boundary(b, hunt, source) for b in found],
        measured=[m for m in measured.values() if m.verdict != "uninstallable"],
        uninstallable=[m for m in measured.values() if m.verdict == "uninstallable"],
        inferred=[
            InferredPoint(**_point(points[i]).model_dump(), verdict=o.verdict, causes=list(o.causes))
            for i, o in search.inferred(len(points), seen).items()
        ],
        allowed=search.allowed(len(points), seen),
        left=hunt.left,
        seconds=round(seconds, 1),
        complete=not hunt.wanted(),
    )


def _point(point: Point) -> PointRecord:
    return PointRecord(label=point.label, date=point.date.isoformat() if point.date else None, told=point.told)


def measured_point(point: Point, found: Sequence[Measured]) -> MeasuredPoint:
    """A point with all of its measurements."""
    last = found[-1]
    return MeasuredPoint(
        **_point(point).model_dump(),
        verdict=last.outcome.verdict,
        causes=list(last.outcome.causes),
        times=len(found),
        stable=len({m.outcome for m in found}) == 1,
        kept=sum(m.kept for m in found),
        reason=last.reason,
        version=last.version,
        diagnoses=list(last.diagnoses),
        seconds=last.seconds,
        trace=next((m.trace for m in reversed(found) if m.trace), None),
        command=last.command,
    )


def _boundary(boundary: search.Boundary, hunt: Hunt, source: str | None) -> BoundaryRecord:
    points = hunt.line.points
    before, after = (hunt.measured[side][0].outcome for side in (boundary.before, boundary.after))
    first, last = points[boundary.before].label, points[boundary.after].label
    return BoundaryRecord(
        before=first,
        after=last,
        verdict_before=before.verdict,
        verdict_after=after.verdict,
        causes_before=list(before.causes),
        causes_after=list(after.causes),
        between=[points[i].label for i in boundary.between],
        inconclusive=any(search.unstable(hunt.seen, i) for i in boundary.between),
        told=None if hunt.line.ends_only else points[boundary.after].told,  # with dates, `guilty` says it
        compare=f"{source}/compare/v{first}...v{last}" if source else None,
    )

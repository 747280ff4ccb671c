"""Lines of releases: of a framework, or of a package underneath one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from harness.bisection.point import BadLine, Line, Point
from harness.environments import recipes
from harness.environments.releases import Release, releases
from harness.environments.request import Request

BACK = dt.timedelta(days=365)
"""How long before a framework's release the line of a package underneath begins, if nobody says it."""


@dataclass(frozen=True)
class Span:
    """The part of a line that was asked for, both ends included; None: as far as it goes."""

    first: str | None = None
    last: str | None = None
    prereleases: bool = False


def of_framework(request: Request, span: Span) -> Line:
    """All releases of a framework that there is a recipe for. Raises BadLine, and NoReleases if none can be had."""
    package = recipes.shipped().package(request.framework)
    covered = [r for r in releases(package) if recipes.shipped().covers(request.framework, r.version)]
    chosen = _within(package, covered, covered, span)
    return Line(tuple(_point(r, replace(request, version=r.version)) for r in chosen), package)


def underneath(request: Request, package: str, span: Span) -> Line:
    """All releases of a package under one release of a framework.

    Without a first one: from the oldest that has a recipe, where the package is a framework itself, else from a year
    before the framework's release. Raises BadLine, and NoReleases if none can be had.
    """
    known = recipes.shipped()
    own = known.package(request.framework)
    if package == own:
        raise BadLine(f"{package} is the framework itself; leave out --vary, and bisect {request.framework}")
    found = releases(package)
    likely: Sequence[Release] = found
    if span.first is None:
        since = _released(own, request.version)
        likely = [r for r in found if _likely(package, r, since)]
    others = tuple(o for o in request.overrides if o[0] != package)
    return Line(
        tuple(
            _point(r, replace(request, overrides=tuple(sorted([*others, (package, r.version)]))))
            for r in _within(package, found, likely, span)
        ),
        package,
    )


def _likely(package: str, release: Release, since: dt.date | None) -> bool:
    known = recipes.shipped().framework.get(package)
    if known is not None:
        return Version(release.version) >= Version(known.oldest)
    return since is None or release.date is None or release.date >= since - BACK


def _released(package: str, version: str | None) -> dt.date | None:
    return next((r.date for r in releases(package) if r.version == version), None)


def _within(package: str, known: Sequence[Release], found: Sequence[Release], span: Span) -> list[Release]:
    """Those of `found` within a span, whose ends are to be `known`."""
    ends = [_version(text) for text in (span.first, span.last)]
    first, last = ends
    if first and last and first > last:
        raise BadLine(f"--from {span.first} is newer than --to {span.last}; swap them")
    chosen = [
        r
        for r in found
        if (first is None or Version(r.version) >= first)
        and (last is None or Version(r.version) <= last)
        and (span.prereleases or not r.prerelease or Version(r.version) in ends)
    ]
    for end in filter(None, ends):
        _exists(package, end, known)
    if len(chosen) < 2:
        raise BadLine(f"{package} has {len(chosen)} such releases, and a line has at least two; widen --from and --to")
    return chosen


def _exists(package: str, end: Version, found: Iterable[Release]) -> None:
    versions = sorted(Version(r.version) for r in found)
    if end not in versions:
        near = [*[v for v in versions if v < end][-1:], *[v for v in versions if v > end][:1]]
        said = f"; nearest: {', '.join(map(str, near))}" if near else ""
        raise BadLine(f"{package} {end} is no release that can be run here{said}")


def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version(text)
    except InvalidVersion:
        raise BadLine(f"{text!r} is no version; give one such as 0.18.9") from None


def _point(release: Release, request: Request) -> Point:
    version = Version(release.version)
    return Point(
        release.version,
        request,
        release.date,
        series=f"{version.epoch}!{version.major}.{version.minor}",
        told="yanked" if release.yanked else None,
    )

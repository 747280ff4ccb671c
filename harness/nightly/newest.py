"""The newest releases: of the frameworks and of what lies under them, as the package index and the resolver tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from harness.environments import pins, recipes, resolution
from harness.environments.releases import NoReleases, Release, releases
from harness.environments.request import Request

ASKED_AT_ONCE = 4


@dataclass(frozen=True)
class Lookup:
    """What the package index told."""

    newest: Mapping[str, str]
    """Version by package; what could not be asked is missing."""
    problems: tuple[str, ...] = ()


def watched(frameworks: Iterable[str] = ()) -> tuple[str, ...]:
    """The packages whose releases matter: these frameworks, or all of them, and what the recipes name underneath."""
    known = recipes.shipped()
    return tuple(sorted({*map(known.package, frameworks or known.framework), *known.sources, *known.pins}))


def look_up(packages: Sequence[str], prereleases: bool, ask: Callable[[str], Iterable[Release]] = releases) -> Lookup:
    """The newest release of each package that was not withdrawn; pre-releases only if asked for."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = list(pool.map(lambda package: _newest(package, prereleases, ask), packages))
    found = {package: a for package, a in zip(packages, answers, strict=True) if not isinstance(a, NoReleases)}
    failed = {package: str(a) for package, a in zip(packages, answers, strict=True) if isinstance(a, NoReleases)}
    return Lookup(found, _told(failed))


def _told(failed: Mapping[str, str]) -> tuple[str, ...]:
    """The first in full, for the others most likely say the same."""
    if not failed:
        return ()
    first, *others = failed
    return (f"{failed[first]}; and so for {', '.join(others)}" if others else failed[first],)


def _newest(package: str, prereleases: bool, ask: Callable[[str], Iterable[Release]]) -> str | NoReleases:
    try:
        found = [r for r in ask(package) if not r.yanked and (prereleases or not r.prerelease)]
    except NoReleases as error:
        return error
    if not found:
        return NoReleases(f"{package} has no release that was not withdrawn")
    return max((r.version for r in found), key=Version)


def underneath(
    request: Request, prereleases: bool, root: Path, note: Callable[[str], None], today: dt.date
) -> Request | None:
    """The same release with the newest packages underneath that it admits; None if the recipe's own are those.

    "Admits": what the resolver chooses where nothing but the recipe's and the packages' own requirements bind it.
    Raises BuildFailed, BadRequest, and OSError if `root` cannot be written.
    """
    request = request.resolved()
    usual = _versions(resolution.resolve(request, recipes.shipped(), root, note))
    free = _unpinned(request, _early(request, usual) if prereleases else ())
    # The end of the day: an index tells the moment of a release, the resolver takes a date.
    newest = _versions(resolution.resolve(request, free, root, note, today + dt.timedelta(days=1)))
    own = recipes.shipped().package(request.framework)
    newer = {
        name: newest[name]
        for name in watched()
        if name != own and name in usual and name in newest and Version(newest[name]) > Version(usual[name])
    }
    if not newer:
        return None
    found = replace(request, overrides=tuple(sorted(newer.items())))
    resolution.resolve(found, recipes.shipped(), root, note)  # as the night will: what cannot be had is told now
    return found


def _unpinned(request: Request, more: Sequence[str]) -> recipes.Recipes:
    """The recipes without their pins, and with more packages for the request's framework."""
    known = recipes.shipped()
    own = known.framework[request.framework]
    own = own.model_copy(update={"packages": (*own.packages, *more)})
    return known.model_copy(update={"pins": {}, "framework": {**known.framework, request.framework: own}})


def _early(request: Request, usual: Mapping[str, str]) -> list[str]:
    """Requirements by which uv takes pre-releases too: of what is named with one, and of nothing else."""
    known = recipes.shipped()
    alone = known.release(request.framework, request.version or "").no_deps
    apart = {known.package(request.framework), *(Requirement(text.replace("{version}", "0")).name for text in alone)}
    return [f"{package}>=0.dev0" for package in watched() if package in usual and package not in apart]


def _versions(lock: pins.Lock) -> dict[str, str]:
    """Public versions by package: `2.13.0+cpu` is 2.13.0."""
    found = ((pins.name(line), pins.version(line)) for line in lock)
    return {name: Version(version).public for name, version in found if version is not None}

"""One framework with everything under it as of two days, and the packages between them swapped one after another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.bisection.point import BadLine, Line, Point
from harness.environments import build, pins, recipes, resolution
from harness.environments.pins import Lock
from harness.environments.releases import releases
from harness.environments.request import Request

Note = Callable[[str], None]


@dataclass(frozen=True)
class Swap:
    """A package that differs between the two days."""

    package: str
    old: str | None
    """Its line in the older lock; None where it is not there."""
    new: str | None

    def __str__(self) -> str:
        ends = [pins.version(line) if line else "absent" for line in (self.old, self.new)]
        return f"{self.package} {ends[0]} -> {ends[1]}"


@dataclass(frozen=True)
class Days:
    """Both ends, and what differs between them, in the order of swapping."""

    request: Request
    older: Lock
    swaps: tuple[Swap, ...]
    folder: Path
    """Where files of pins are written."""
    needs: Mapping[str, set[str]] = field(default_factory=dict)
    """What each package of the newer end asks for."""

    def with_needs(self, swaps: Sequence[Swap]) -> tuple[Swap, ...]:
        """These swaps, and before them those of what the packages need, and so on."""
        wanted = {swap.package for swap in swaps}
        while more := {need for package in wanted for need in self.needs.get(package, set())} - wanted:
            wanted |= more
        return tuple(swap for swap in self.swaps if swap.package in wanted)

    def point(self, label: str, swaps: Iterable[Swap], date: dt.date | None = None) -> Point:
        """The older environment with these packages swapped."""
        swapped = tuple(swaps)
        lines = {pins.name(line): line for line in self.older}
        lines |= {swap.package: swap.new for swap in swapped if swap.new is not None}
        gone = {swap.package for swap in swapped if swap.new is None}
        file = self.folder.absolute() / f"{label.replace(' ', '-')}.txt"
        pins.write([line for package, line in lines.items() if package not in gone], file)
        request = replace(self.request, version=None, overrides=(), pins=file)
        return Point(label, request, date, told=str(swapped[-1]) if swapped else None)


def resolve(request: Request, first: dt.date, last: dt.date, root: Path, folder: Path, note: Note) -> Days:
    """The framework as of two days; without a version, its newest release of each. Raises BadLine, and BuildFailed."""
    if first >= last:
        raise BadLine(f"--from {first} is not before --to {last}; swap them, or give others")
    older, newer = (_as_of(request, day, root, note) for day in (first, last))
    days = Days(request, older, (), folder)
    swaps = _swaps(older, newer)
    if not swaps:
        raise BadLine(
            f"nothing under {request} differs between {first} and {last}; its recipe pins it, or choose others"
        )
    installed = build.ensure(days.point(f"{last}", swaps).request, root, note)
    needs = _needs(installed.python)
    return replace(days, swaps=_ordered(swaps, needs), needs=needs)


def line(days: Days, first: dt.date, last: dt.date) -> Line:
    """From one day to the other: each point has one package swapped more than the one before."""
    total = len(days.swaps)
    middle = [
        days.point(f"{number:02d} {days.swaps[number - 1].package}", days.swaps[:number]) for number in range(1, total)
    ]
    ends = (days.point(f"{first}", (), first), days.point(f"{last}", days.swaps, last))
    return Line((ends[0], *middle, ends[1]), "packages, as of two dates", ends_only=True)


def _as_of(request: Request, day: dt.date, root: Path, note: Note) -> Lock:
    version = request.version or _newest(request.framework, day)
    return resolution.resolve(replace(request, version=version), recipes.shipped(), root.absolute(), note, day)


def _newest(framework: str, day: dt.date) -> str:
    known = recipes.shipped()
    found = [
        r for r in releases(known.package(framework)) if r.date and r.date <= day and not r.prerelease and not r.yanked
    ]
    covered = [r.version for r in found if known.covers(framework, r.version)]
    if not covered:
        raise BadLine(f"{framework} had no release by {day} that there is a recipe for; give a later --from")
    return covered[-1]


def _swaps(older: Lock, newer: Lock) -> list[Swap]:
    old, new = ({pins.name(line): line for line in lock} for lock in (older, newer))
    names = sorted({name for name in old.keys() | new.keys() if old.get(name) != new.get(name)})
    return [Swap(name, old.get(name), new.get(name)) for name in names]


def _ordered(swaps: Sequence[Swap], needs: Mapping[str, set[str]]) -> tuple[Swap, ...]:
    """What others need comes before them, what is not needed any more goes last.

    Most packages run on newer ones than they were made for, fewer on older ones.
    """
    # Sorted, since a set's order is another one in each process, and a stopped bisection goes on in the same order.
    graph = {swap.package: sorted(needs.get(swap.package, ())) for swap in swaps}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError:
        order = sorted(graph)
    rank = {package: number for number, package in enumerate(order)}
    return tuple(sorted(swaps, key=lambda swap: (swap.new is None, rank[swap.package])))


def _needs(python: Path) -> dict[str, set[str]]:
    """What each installed package asks for, extras left out."""
    sites = [str(path) for path in python.parent.parent.glob("lib/python*/site-packages")]
    found: dict[str, set[str]] = {}
    for package in distributions(path=sites):
        asked = filter(None, map(_requirement, package.requires or ()))
        found[canonicalize_name(package.name)] = {
            canonicalize_name(r.name) for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})
        }
    return found


def _requirement(text: str) -> Requirement | None:
    """None for what is none by today's rules, as old packages have some."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None

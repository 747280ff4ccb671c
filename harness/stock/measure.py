"""Measuring stock installs: a run folder for each release, so that what is done once stays done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.environments import recipes
from harness.environments.releases import Release
from harness.environments.request import Request
from harness.history.identity import identity
from harness.session.plan import UNCONFINED, Choice, Confinement, Plan
from harness.stock import reigns
from harness.stock.record import FrameworkRecord, OutcomeRecord, ReleaseRecord, Stock
from harness.stock.reigns import Window
from harness.traces import text_files
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from harness.version import own_version

RELEASES = "releases"
UNDERNEATH = ("transformers", "accelerate", "deepspeed")

SCENARIOS = ("sft-ragged", "sft-ragged-pairs", "sft-ragged-zero2-offload")
"""Those that show the most: how losses are averaged and scaled, which tokens are trained, and what the DeepSpeed that
most of them share does to the gradient."""

LEFT_OUT = ("torch", "ddp", "fsdp2")
"""Not measured: a plain loop on PyTorch is the user's own, so that no release of it can be wrong by itself."""


@dataclass(frozen=True)
class Wish:
    """What is to be measured."""

    frameworks: tuple[str, ...]
    choices: tuple[Choice, ...]
    window: Window
    since: dt.date
    jobs: int = 1
    timeout: float = 300.0
    confinement: Confinement = UNCONFINED


@dataclass(frozen=True)
class Line:
    """The releases of one framework that a stock install got."""

    framework: str
    before: int
    releases: tuple[tuple[Release, int], ...]
    """With their days as the newest, oldest first."""


def lines(wish: Wish, ask: Callable[[str], Iterable[Release]]) -> tuple[Line, ...]:
    """What the package index tells of each framework. Raises NoReleases."""
    known = recipes.shipped()
    return tuple(_line(name, wish, reigns.ordinary(ask(known.package(name)))) for name in wish.frameworks)


def _line(framework: str, wish: Wish, found: Sequence[Release]) -> Line:
    days = reigns.days_as_newest(found, wish.window)
    chosen = [(r, days.get(r.version, 0)) for r in found if r.date is not None and r.date <= wish.window.last]
    kept = tuple((r, n) for r, n in chosen if n or (r.date is not None and r.date >= wish.since))
    return Line(framework, days.get(None, 0), kept)


def due(wish: Wish, found: Iterable[Line], home: Path) -> list[Plan]:
    """Plans of what is still to be run: newest releases first, frameworks by turns."""
    known = recipes.shipped()
    each = [
        [
            Request(line.framework, release.version)
            for release, _ in reversed(line.releases)
            if known.covers(line.framework, release.version)
        ]
        for line in found
    ]
    plans = [
        Plan((request,), wish.choices, wish.jobs, wish.timeout, confinement=wish.confinement)
        for request in _by_turns(each)
    ]
    return [plan for plan in plans if not _done(plan, home)]


def _by_turns(each: Sequence[Sequence[Request]]) -> list[Request]:
    """All of them, each framework spread evenly: however early it is stopped, each has about the same share."""
    placed = [((number + 0.5) / len(of), request) for of in each for number, request in enumerate(of)]
    return [request for _, request in sorted(placed, key=lambda pair: pair[0])]


def folder(home: Path, request: Request) -> Path:
    """Where the run of one release is kept."""
    return home / RELEASES / f"{request.framework}-{request.version}"


def _done(plan: Plan, home: Path) -> bool:
    """Whether every cell came to a verdict by this very harness, on the scenarios that there are now."""
    cells = _recorded(folder(home, plan.requests[0])).cells
    told = {(cell.label, cell.scenario_hash, cell.harness): cell.verdict for cell in cells}
    wanted = [(choice.label, plan.scenario(choice).hash, identity()) for choice in plan.choices]
    return all(told.get(key, "unknown") != "unknown" for key in wanted)


def collect(wish: Wish, found: Iterable[Line], home: Path) -> Stock:
    """All that is recorded by now."""
    frameworks = [
        FrameworkRecord(
            name=line.framework,
            before=line.before,
            releases=tuple(_release(line.framework, release, days, wish, home) for release, days in line.releases),
        )
        for line in found
    ]
    return Stock(
        lockstep=own_version(),
        first=wish.window.first,
        last=wish.window.last,
        since=wish.since,
        scenarios=tuple(choice.label for choice in wish.choices),
        frameworks=tuple(frameworks),
    )


def _release(framework: str, release: Release, days: int, wish: Wish, home: Path) -> ReleaseRecord:
    assert release.date is not None  # `reigns.ordinary`
    place = folder(home, Request(framework, release.version))
    labels = {choice.label for choice in wish.choices}
    cells = [cell for cell in _recorded(place).cells if cell.label in labels]
    return ReleaseRecord(
        version=release.version,
        released=release.date,
        days=days,
        covered=recipes.shipped().covers(framework, release.version),
        underneath=_underneath(framework, cells, place),
        outcomes={cell.label: _outcome(cell) for cell in cells},
    )


def _outcome(cell: CellRecord) -> OutcomeRecord:
    kinds = dict.fromkeys(diagnosis.kind for diagnosis in cell.diagnoses)
    return OutcomeRecord(verdict=cell.verdict, kinds=tuple(kinds), reason=cell.reason)


def _underneath(framework: str, cells: Iterable[CellRecord], place: Path) -> dict[str, str]:
    """Of any cell that has a trace: all of a release ran in one environment."""
    packages = next(_packages(cells, place), {})
    return {name: packages[name] for name in UNDERNEATH if name in packages and name != framework}


def _packages(cells: Iterable[CellRecord], place: Path) -> Iterator[Mapping[str, str]]:
    for cell in cells:
        try:
            yield text_files.header(place / (cell.trace or ""))[0].packages
        except text_files.UnreadableTrace:
            continue


def _recorded(place: Path) -> Verdict:
    """Nothing where the release was not run yet, or its verdict cannot be read any more."""
    try:
        return verdict.read(place)
    except verdict.UnreadableVerdict:
        return Verdict()

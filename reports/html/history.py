"""The trend: what was measured, release by release, and what changed when. One page that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from harness.history.changes import Cell, Change, Line, changes, latest, outcome
from harness.history.store import Measurement
from harness.verdicts.verdict import Outcome
from reports import words
from reports.html.index import MARKS
from reports.html.templates import Templates


@dataclass(frozen=True)
class Told:
    """A change in words, and the scenarios that it was the same on."""

    day: str
    where: str
    scenarios: Sequence[str]
    before: Measurement
    after: Measurement
    causes_before: str
    causes_after: str
    commands: Sequence[str]
    """To see it on each of the scenarios."""


@dataclass(frozen=True)
class Table:
    """A line of releases."""

    title: str
    line: Line
    rows: Sequence[tuple[str, Sequence[Cell | None]]]
    """A scenario, and its cell for each release."""


def page(lines: Sequence[Line]) -> str:
    """The page, with its own style in it."""
    style = files("reports.html").joinpath("static", "lockstep.css").read_text(encoding="utf-8")
    return Templates().render(
        "history.html",
        root="",
        style=style,
        marks=MARKS,
        tables=[_table(line) for line in lines],
        told=told(lines),
        counts=_counts(lines),
        causes=causes,
    )


def told(lines: Sequence[Line]) -> list[Told]:
    """Every change, the latest first; those that are the same on several scenarios together."""
    found: dict[tuple[str, ...], list[Change]] = {}
    for line in lines:
        for change in changes(line):
            found.setdefault(_key(change), []).append(change)
    return [_told(alike) for alike in sorted(found.values(), key=lambda alike: latest(alike[0]), reverse=True)]


def _key(change: Change) -> tuple[str, ...]:
    before, after = change.before, change.after
    versions = (before.framework, before.version, after.version)
    return (change.day, *versions, *outcome(before), "->", *outcome(after))


def _told(alike: Sequence[Change]) -> Told:
    first = alike[0]
    versions = f"{first.before.version} → {first.after.version}"
    if first.again:
        versions = f"{first.after.version}, measured again"
    return Told(
        first.day,
        f"{first.after.framework} {versions}",
        [change.after.scenario for change in alike],
        first.before,
        first.after,
        causes(first.before),
        causes(first.after),
        list(dict.fromkeys(change.after.command for change in alike if change.after.command)),
    )


def causes(measurement: Measurement) -> str:
    """Why, in a few words; empty where nothing is wrong."""
    return "; ".join(measurement.causes or measurement.findings) or (measurement.reason or "")


def _table(line: Line) -> Table:
    with_ = f" with {', '.join(line.underneath)}" if line.underneath else ""
    patched = f", patched by {line.patch}" if line.patch else ""
    rows = [(s, [line.cells.get((version, s)) for version in line.versions]) for s in line.scenarios]
    return Table(f"{line.framework}{with_}{patched}", line, rows)


def _counts(lines: Sequence[Line]) -> Mapping[Outcome, int]:
    """Cells by what they gave last, worst first."""
    last = [cell.last.verdict for line in lines for cell in line.cells.values()]
    return {outcome: last.count(outcome) for outcome in words.WORDS if outcome in last}

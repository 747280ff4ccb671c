"""The index: the matrix of releases and scenarios, and what is wrong, cells with one cause told together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import printable
from harness.verdicts.verdict import CellRecord, Outcome, Verdict, ViewRecord
from reports import said, words
from reports.html import apart

MARKS: Mapping[Outcome, str] = {
    "fail": "\N{MULTIPLICATION SIGN}",
    "unknown": "?",
    "accepted": "\N{BLACK DIAMOND}",
    "pass": "\N{CHECK MARK}",
    "unsupported": "\N{EN DASH}",
}
LONGEST = 300
"""Of what a square says of itself: the page of 500 cells stays small."""


@dataclass(frozen=True)
class Square:
    """A cell in the matrix."""

    record: CellRecord
    address: str
    title: str


@dataclass(frozen=True)
class Row:
    """A release on every scenario; several squares stand together where there are several seeds."""

    framework: str
    version: str
    squares: Sequence[Sequence[Square]]


@dataclass(frozen=True)
class Trouble:
    """Cells that are told together."""

    outcome: Outcome
    where: str
    lines: Sequence[said.Line]
    example: CellRecord
    squares: Sequence[Square]


@dataclass(frozen=True)
class Parted:
    """A scenario on which frameworks part."""

    view: ViewRecord
    groups: Sequence[apart.Group]
    distances: Sequence[str]


@dataclass(frozen=True)
class Page:
    """What the template of the index is given."""

    verdict: Verdict
    missing: str | None
    """Why it is not to be taken as right even if no cell is wrong."""
    counts: Mapping[Outcome, int]
    scenarios: Sequence[str]
    rows: Sequence[Row]
    troubles: Sequence[Trouble]
    cannot: Sequence[str]
    """What releases cannot express, and why."""
    open: Sequence[str]
    """What could not be asked of cells."""
    agreed: Sequence[str]
    parted: Sequence[Parted]
    uncompared: Sequence[ViewRecord]


def page(verdict: Verdict, addresses: Sequence[str]) -> Page:
    """`addresses` are those of the cells' pages, in the verdict's order."""
    squares = [Square(c, a, _title(c)) for c, a in zip(verdict.cells, addresses, strict=True)]
    by_cell = {id(square.record): square for square in squares}
    scenarios = list(dict.fromkeys(c.scenario for c in verdict.cells))
    agreed = [v for v in verdict.views if len(v.groups) == 1]
    return Page(
        verdict=verdict,
        missing=words.missing(verdict),
        counts=words.counts(verdict),
        scenarios=scenarios,
        rows=_rows(squares, scenarios),
        troubles=[_trouble(cells, [by_cell[id(c)] for c in cells]) for cells in _together(verdict)],
        cannot=[printable.line(line) for line in words.cannot(verdict)],
        open=[printable.line(line) for line in words.open_questions(verdict)],
        agreed=[f"{v.label} ({len(v.groups[0].members)})" for v in agreed],
        parted=[_parted(v) for v in verdict.views if len(v.groups) > 1],
        uncompared=[v for v in verdict.views if not v.groups],
    )


def _title(record: CellRecord) -> str:
    why = words.in_short(record)
    return printable.line(f"{record.name}: {words.WORDS[record.verdict]}{f'; {why}' if why else ''}", LONGEST)


def _release(record: CellRecord) -> tuple[str, str]:
    return record.framework, record.version


def _rows(squares: Sequence[Square], scenarios: Sequence[str]) -> list[Row]:
    found: dict[tuple[str, str], dict[str, list[Square]]] = {}
    for square in squares:
        found.setdefault(_release(square.record), {}).setdefault(square.record.scenario, []).append(square)
    return [Row(*release, [own.get(name, []) for name in scenarios]) for release, own in found.items()]


def _together(verdict: Verdict) -> list[list[CellRecord]]:
    """Worst first."""
    failing = words.alike(words.of(verdict, "fail"), words.fail_key)
    unknown, known = (words.alike(words.of(verdict, o), words.reason_key) for o in ("unknown", "accepted"))
    return [*failing, *unknown, *known]


def _trouble(cells: Sequence[CellRecord], squares: Sequence[Square]) -> Trouble:
    example = cells[0]
    if example.verdict == "fail":
        lines = said.found(example)
    else:
        lines = [said.Line(words.in_short(example), linked=example.verdict == "accepted")]
    return Trouble(example.verdict, words.where(cells), lines, example, squares)


def _parted(view: ViewRecord) -> Parted:
    letters = [group.letter for group in apart.groups(view)]
    told = [
        f"{letters[d.first]} and {letters[d.second]}: {words.apart(d)}"
        for d in view.distances
        if d.first == 0 and 0 <= d.second < len(letters)
    ]
    return Parted(view, apart.groups(view), told)

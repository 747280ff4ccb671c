"""A bisection at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from harness.bisection.record import Bisection
from harness.bisection.search import Outcome
from harness.verdicts.verdict import DiagnosisRecord
from reports.bisection import told

MOST_SILENT = 8
"""Lines on points that tell nothing; the page has them all."""


def show(bisection: Bisection, console: Console) -> None:
    """Print the ruler, every change, what it means and what was measured for it."""
    console.print(Text(told.title(bisection), "bold"))
    console.print()
    for line in told.lines(told.ruler(bisection)):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print()
    for outcome, letter in told.letters(bisection).items():
        console.print(Padding(Text.assemble((letter, _style(outcome)), "  ", told.words(outcome)), (0, 0, 0, 2)))
    console.print(Padding(Text(told.LEGEND, "dim"), (0, 0, 1, 2)))
    _changes(bisection, console)
    for cause in told.wrong(bisection):
        _cause(told.diagnosis(bisection, cause), console)
    if silent := told.silent(bisection):
        console.print(Padding(Text("Measured, and tells nothing"), (1, 0, 0, 0)))
        for line in [*silent[:MOST_SILENT], *(["..."] if len(silent) > MOST_SILENT else [])]:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print()
    for line in told.footing(bisection):
        console.print(Text(line), soft_wrap=True)


def _cause(diagnosis: DiagnosisRecord | None, console: Console) -> None:
    if diagnosis is not None:
        console.print(Padding(Text(diagnosis.summary), (1, 0, 0, 0)))
        for said in told.explained(diagnosis):
            console.print(Padding(Text(said), (0, 0, 0, 2)))


def _style(outcome: Outcome) -> str:
    return {"pass": "green", "fail": "bold red"}.get(outcome.verdict, "yellow")


def _coloured(outcome: Outcome) -> tuple[str, str]:
    return told.words(outcome), _style(outcome)


def _changes(bisection: Bisection, console: Console) -> None:
    if not bisection.boundaries:
        console.print(Text(told.no_change(bisection)))
        return
    for b in bisection.boundaries:
        where = f"{told.dated(bisection, b.before)} -> {told.dated(bisection, b.after)}{told.span(bisection, b)}"
        console.print(Text(where, "bold"))
        change = Text.assemble(_coloured(told.before(b)), " -> ", _coloured(told.after(b)))
        console.print(Padding(change, (0, 0, 0, 2)))
        if b.told:
            console.print(Padding(Text(b.told), (0, 0, 0, 2)))
        if b.compare:
            console.print(Text(f"  {b.compare}"), soft_wrap=True)
        for line in told.guilt(b):
            console.print(Padding(Text(line), (0, 0, 0, 2)))

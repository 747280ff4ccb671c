"""What a fuzz has found, at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from harness.fuzzing.record import CauseRecord, Fuzz

MOST_UNKNOWN = 5
"""Reasons that are shown; `fuzz.json` has them all."""


def show(fuzz: Fuzz, console: Console) -> None:
    """Print every cause with its smallest scenario, what could not be judged, and what was run."""
    for cause in fuzz.causes:
        _cause(cause, console)
    for unknown in fuzz.unknown[:MOST_UNKNOWN]:
        console.print(Text(f"not judged, {unknown.count} x: {unknown.reason}"), soft_wrap=True)
    if len(fuzz.unknown) > MOST_UNKNOWN:
        console.print(Text(f"and {len(fuzz.unknown) - MOST_UNKNOWN} more reasons"))
    console.print()
    for line in footing(fuzz):
        console.print(Text(line), soft_wrap=True)


def _cause(cause: CauseRecord, console: Console) -> None:
    word, style = ("accepted", "yellow") if cause.accepted else ("new", "bold red")
    console.print(Text.assemble((f"{word:<8}", style), "  ", (cause.kind, "bold")))
    small = ", ".join(f"{path} = {value}" for path, value in cause.settings.items()) or "the plain scenario"
    seconds = f"{cause.cells} cells, {cause.seconds:.0f} s"
    for line in (cause.summary, f"smallest: {small}", f"after {seconds}: {cause.file}", *_more(cause)):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    for line in (f"again: {cause.command}", f"since when: {cause.bisect}"):  # to be copied, so in one line
        console.print(Text(f"  {line}"), soft_wrap=True)


def _more(cause: CauseRecord) -> list[str]:
    told = ["not steady: it did not show when the same scenario was run once more"] if not cause.steady else []
    return [*told, *([f"upstream: {cause.upstream}"] if cause.upstream else [])]


def footing(fuzz: Fuzz) -> list[str]:
    """How much was run, and what was not."""
    new = sum(cause.accepted is None for cause in fuzz.causes)
    drawn = sum(count > 0 for values in fuzz.coverage.values() for count in values.values())
    every = sum(map(len, fuzz.coverage.values()))
    rate = f"{fuzz.cells} cells in {fuzz.seconds:.0f} s, {fuzz.cells_per_minute:.0f} a minute"
    told = ", ".join(f"{count} {verdict}" for verdict, count in fuzz.verdicts.items())
    values = f"{drawn} of {every} values of {len(fuzz.coverage)} fields were run"
    return [
        f"{fuzz.framework}: {rate}" + (f" ({told})" if told else ""),
        f"causes: {len(fuzz.causes)}, {new} of them new; {values}, and {fuzz.pairs} pairs of values that are not plain",
    ]

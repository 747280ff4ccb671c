"""A mismatch at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from harness.mismatch.record import Mismatch
from reports import tables
from reports.mismatch import told


def show(found: Mismatch, console: Console) -> None:
    """Print what rounding does, each way against float64, the pairs, and the claims."""
    console.print(Text(told.setting(found)), soft_wrap=True)
    for line in told.unknown(found):
        console.print(Text(f"  unknown: {line}", "yellow"), soft_wrap=True)
    _table(console, "What rounding the parameters does by itself", told.ROUNDINGS, told.roundings(found))
    _table(console, "Each against float64 at the parameters that it had", told.RUNS, told.runs(found))
    _table(console, "Trainer against engine", told.PAIRS, told.pairs(found))
    console.print(Text(told.ESTIMATORS, "dim"))
    console.print()
    for claim in found.claims:
        style = "green" if claim.supported else "yellow"
        console.print(
            Text.assemble((f"{told.claim(claim):<14}", style), f"{claim.claim} ({claim.source})"), soft_wrap=True
        )
        console.print(Text(f"               {claim.measured}", "dim"), soft_wrap=True)
    console.print(Text(told.summary(found)))


def _table(console: Console, title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    known = list(rows)
    if known:
        console.print(Text(title, "bold"))
        console.print(tables.made(head, known))
        console.print()

"""A mismatch at a terminal."""

from __future__ import annotations

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
    for title, head, rows in told.tables(found):
        if head != told.CLAIMS:
            console.print(Text(title, "bold"))
            console.print(tables.made(head, rows))
            console.print()
    console.print(Text(told.ESTIMATORS, "dim"), soft_wrap=True)
    console.print()
    for claim in found.claims:
        style = "green" if claim.supported else "yellow"
        said = told.claim(claim)
        console.print(Text.assemble((f"{said:<15}", style), f"{claim.claim} ({claim.source})"), soft_wrap=True)
        console.print(Text(f"               {claim.measured}", "dim"), soft_wrap=True)
    console.print(Text(told.summary(found)))

"""A staircase at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from harness.staircase.record import Staircase
from reports import tables
from reports.staircase import told


def show(found: Staircase, console: Console) -> None:
    """Print the arms, what each fix is worth, and the claims."""
    console.print(Text(told.setting(found)), soft_wrap=True)
    for line in found.effective:
        console.print(Text(f"  recovered: {line}", "dim"), soft_wrap=True)
    for line in told.differences(found):
        console.print(Text(f"  DIFFERS: {line}", "bold red"), soft_wrap=True)
    for row in told.arms(found):
        _arm(console, row)
    console.print()
    for attribution in found.attributions:
        console.print(Text(f"Share of the gap in {told.METRICS[attribution.metric]}", "bold"))
        _table(console, told.SHARES, told.shares(attribution))
    if found.attributions:
        console.print(Text(told.interval(found)), soft_wrap=True)
    for claim in found.claims:
        style = "green" if claim.supported else "yellow"
        console.print(Text.assemble((f"{told.claim(claim):<15}", style), claim.claim), soft_wrap=True)
        console.print(Text(f"               {claim.measured}", "dim"), soft_wrap=True)
    console.print(Text(told.summary(found)))


def _arm(console: Console, row: Sequence[str]) -> None:
    """Its label in a line of its own, which is long."""
    label, *numbers, weighed = row
    console.print(Text(label, "bold"), soft_wrap=True)
    named = zip(told.ARMS[1:], numbers, strict=False)
    console.print(Text("  " + "   ".join(f"{name} {number}" for name, number in named)), soft_wrap=True)
    console.print(Text(f"  {told.ARMS[-1]}: {weighed}", "dim"), soft_wrap=True)


def _table(console: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console.print(tables.made(head, rows))
    console.print()

"""Relations at a terminal: who keeps which, and each broken one with its two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.relations.record import PairRecord, Relations, State
from reports.relations import told

STYLES: Mapping[State, str] = {"broken": "bold red", "unknown": "yellow", "holds": "green", "unsupported": "dim"}


def show(relations: Relations, console: Console) -> None:
    """Print every pair in a line, what is broken in full, and what was not run."""
    for release in told.releases(relations):
        console.print(Text(release, "bold"))
        for pair in relations.pairs:
            if told.release(pair) == release and pair.state != "unsupported":
                _line(pair, console)
        console.print()
    for pair in told.of(relations, "broken"):
        _broken(pair, relations.sentences[pair.relation], console)
    for line in [*told.refusals(relations), *told.silent(relations)]:
        console.print(Text(f"not run: {line}", "dim"), soft_wrap=True)
    console.print(Text(told.summary(relations)))


def _line(pair: PairRecord, console: Console) -> None:
    one, other = pair.sides
    more = pair.reason or told.distance(pair)
    text = Text.assemble(
        "  ",
        (f"{told.WORDS[pair.state]:<8}", STYLES[pair.state]),
        (f"{pair.relation:<16}", "bold"),
        f"{one.scenario} and {other.scenario}" + (f" ({more})" if more else ""),
    )
    console.print(text, soft_wrap=True)


def _broken(pair: PairRecord, sentence: str, console: Console) -> None:
    console.print(Text.assemble(("BROKEN", "bold red"), "  ", (f"{told.release(pair)}: {pair.relation}", "bold")))
    for line in (sentence, f"{told.parted(pair)}; most different there: {', '.join(pair.worst)}"):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for column in ("", *(side.scenario for side in pair.sides), "apart"):
        table.add_column(column, overflow="fold")
    table.add_row("with", *map(told.settings, pair.sides), "")
    table.add_row("by the oracle", *map(told.oracle, pair.sides), "")
    for row in told.rows(pair):
        table.add_row(*row)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    for side in pair.sides:  # to be copied, so in one line
        if side.command:
            console.print(Text(f"  again: {side.command}"), soft_wrap=True)
    console.print()

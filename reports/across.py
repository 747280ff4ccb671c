"""The frameworks of a run against each other, at a terminal: groups of the same update, and what sets them apart."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.verdicts.verdict import GroupRecord, RowRecord, Side, ViewRecord
from reports import words

STYLES: Mapping[Side, str] = {
    "right": "green",
    "wrong": "bold red",
    "fed otherwise": "bold red",
    "unjudged": "yellow",
}
MOST_ROWS = 8


def show(views: Sequence[ViewRecord], console: Console) -> None:
    """Print what all agree on in a line, and each way in which they part once, by the first scenario that shows it."""
    if not views:
        return
    console.print(Text("Frameworks by the update that they made", "bold"))
    agreed = [v for v in views if len(v.groups) == 1]
    if agreed:
        told = ", ".join(f"{v.label} ({len(v.groups[0].members)})" for v in agreed)
        _line(f"all runs made the same update, within noise, on: {told}", console)
    for view in views:
        if not view.groups:
            _line(f"{view.label}: {view.reason}", console)
    console.print()
    shown: dict[object, str] = {}
    """Tables of weights that were shown, with their scenario."""
    for alike in _alike([v for v in views if len(v.groups) > 1]):
        _parted(alike, shown, console)


def _alike(views: Sequence[ViewRecord]) -> list[list[ViewRecord]]:
    """Views whose groups are of the same frameworks, on the same side."""
    found: dict[object, list[ViewRecord]] = {}
    for view in views:
        key = tuple((tuple(map(words.release, g.members)), g.side) for g in view.groups)
        found.setdefault(key, []).append(view)
    return list(found.values())


def _parted(views: Sequence[ViewRecord], shown: dict[object, str], console: Console) -> None:
    view = views[0]
    untold = set(view.weights_untold)
    console.print(Text(f"{', '.join(view.label for view in views)}: {len(view.groups)} groups"))
    letters = string.ascii_uppercase
    for i, group in enumerate(view.groups):
        _group(letters[i % 26], group, view.majority == i, console)
    for distance in view.distances:
        if distance.first > 0:
            continue  # of the largest group from each other one; the rest is in the verdict
        _line(f"{letters[distance.first % 26]} and {letters[distance.second % 26]}: {words.apart(distance)}", console)
    if len(view.inputs) > 1:
        _line(_fed(view), console)
    if view.left_out:
        _line(
            f"left out, for their traces do not hold every step: {', '.join(map(words.release, view.left_out))}",
            console,
        )
    if view.weights_untold:
        said = ", ".join(letter for letter, g in zip(letters, view.groups, strict=False) if untold & set(g.members))
        _line(f"what tokens weigh in {said} cannot be told: {words.FOREIGN}", console)
    table = tuple((row.row, *map(words.spans, row.spans)) for row in view.rows)
    if table in shown:
        _line(f"tokens weigh as in the table of {shown[table]}", console)
    elif table:
        _rows(view.rows, letters[: len(view.groups)], console)
        shown[table] = view.label
    console.print()


def _fed(view: ViewRecord) -> str:
    """Who was fed otherwise than most frameworks; or, where there is no most, who was fed like whom."""
    sets = [", ".join(map(words.release, names)) for names in view.inputs]
    if view.inputs_majority is None:
        return f"not all were fed the same tokens, masks and positions: {'; '.join(sets)}"
    others = ", ".join(told for i, told in enumerate(sets) if i != view.inputs_majority)
    return f"not fed the same tokens, masks or positions as most frameworks: {others}"


def _group(letter: str, group: GroupRecord, majority: bool, console: Console) -> None:
    vote = f"; {group.votes} independent implementations agree, the most" if majority else ""
    members = ", ".join(map(words.release, group.members))
    text = Text.assemble(f"{letter}  ", members, "  ", (words.SIDES[group.side], STYLES[group.side]), vote)
    console.print(Padding(text, (0, 0, 0, 2), expand=False))


def _rows(rows: Sequence[RowRecord], letters: str, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"step {rows[0].step}", no_wrap=True)
    for letter in letters:
        table.add_column(letter)
    for row in rows[:MOST_ROWS]:
        table.add_row(f"row {row.row}", *map(words.spans, row.spans))
    _line("weight x N, and the tokens that have it:", console)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    if len(rows) > MOST_ROWS:
        _line(f"and {len(rows) - MOST_ROWS} more rows", console)


def _line(text: str, console: Console) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))

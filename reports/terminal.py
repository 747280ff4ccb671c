"""A verdict for people at a terminal: the matrix of cells, then what is wrong, cells with one cause told together.

Everything that matters is said in words; colour only repeats it, and is left out where the output is no terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness import printable
from harness.verdicts.verdict import CellRecord, Outcome, Verdict
from reports import across, said, words
from reports.said import Line

STYLES: Mapping[Outcome, str] = {
    "fail": "bold red",
    "unknown": "yellow",
    "accepted": "magenta",
    "pass": "green",
    "unsupported": "dim",
}


def show(verdict: Verdict, folder: str, console: Console) -> None:
    """Print the whole verdict. `folder` is what `lockstep explain` takes; no command is offered where it is empty."""
    _matrix(verdict.cells, console)
    for cells in words.alike(words.of(verdict, "fail"), words.fail_key):
        _failing(cells, folder, console)
    for outcome in ("accepted", "unknown"):
        for cells in words.alike(words.of(verdict, outcome), words.reason_key):
            _other(outcome, cells, console)
    for record in verdict.cells:
        if record.described:
            _described(record, console)
    _unsupported(verdict, console)
    _open(verdict, console)
    across.show(verdict.views, console)
    console.print(_summary(verdict))


def cell(record: CellRecord, console: Console) -> None:
    """Print one cell: its verdict, and in words why."""
    _heading(record.verdict, [record], console)
    _said(said.lines(record), console)
    console.print()


# ---- the matrix


def _matrix(cells: Sequence[CellRecord], console: Console) -> None:
    releases = list(dict.fromkeys((c.framework, c.version) for c in cells))
    scenarios = list(dict.fromkeys(c.scenario for c in cells))
    if not cells:
        return
    squares = {release: [_square(cells, release, scenario) for scenario in scenarios] for release in releases}
    for part in _fitting(squares, max(map(len, scenarios)), console.width):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
        heads = [[framework, *version.split(",")] for framework, version in part]
        table.add_column("\n" * (max(map(len, heads)) - 1) + "scenario", no_wrap=True)
        for head in heads:
            table.add_column("\n".join(head), no_wrap=True)
        for number, scenario in enumerate(scenarios):
            table.add_row(scenario, *(squares[release][number] for release in part))
        console.print(table)
        console.print()


def _fitting(
    squares: Mapping[tuple[str, str], Sequence[Text]], first: int, width: int
) -> Iterable[list[tuple[str, str]]]:
    """Cut the columns into parts that fit the width beside a first column; a part has one column at least."""
    gap = 3  # between two columns: two of padding, one that stands for a rule
    part: list[tuple[str, str]] = []
    used = first
    for (framework, version), column in squares.items():
        lines = [framework, *version.split(","), *(line for square in column for line in square.plain.splitlines())]
        needs = max(map(len, lines)) + gap
        if part and used + needs > width:
            yield part
            part, used = [], first
        part.append((framework, version))
        used += needs
    if part:
        yield part


def _square(cells: Iterable[CellRecord], release: tuple[str, str], scenario: str) -> Text:
    """One word, or with several seeds a count for each verdict, worst first."""
    counts = Counter(c.verdict for c in cells if (c.framework, c.version) == release and c.scenario == scenario)
    several = sum(counts.values()) > 1
    lines = [
        Text(f"{counts[outcome]} {word}" if several else word, STYLES[outcome])
        for outcome, word in words.WORDS.items()
        if counts[outcome]
    ]
    return Text("\n").join(lines) if lines else Text("-", "dim")


# ---- under the matrix


def _failing(cells: list[CellRecord], folder: str, console: Console) -> None:
    example = cells[0]
    _heading("fail", cells, console)
    _said(said.found(example), console)
    if folder:
        _line(console, f"more: lockstep explain {words.quoted(folder)} {words.quoted(example.name)}", 2, whole=True)
    console.print()


def _said(lines: Iterable[Line], console: Console) -> None:
    for line in lines:
        _line(console, Text(line.text, "bold" if line.strong else ""), 2 + 2 * line.depth)


def _other(outcome: Outcome, cells: list[CellRecord], console: Console) -> None:
    _heading(outcome, cells, console)
    example = cells[0]
    summaries = [d.summary for d in example.diagnoses] or [f.message for f in example.findings][:1]
    for line in [example.reason] if example.reason else summaries:
        _line(console, line, 2)
    console.print()


def _described(record: CellRecord, console: Console) -> None:
    """What the steps of a run were."""
    console.print(Text.assemble(("described", "bold"), "  ", (words.where([record]), "bold")))
    for sentence in record.described or ():
        _line(console, sentence, 2)
    console.print()


def _unsupported(verdict: Verdict, console: Console) -> None:
    told = words.cannot(verdict)
    for line in told:
        console.print(Text.assemble((words.WORDS["unsupported"], STYLES["unsupported"]), "  ", printable.line(line)))
    if told:
        console.print()


def _open(verdict: Verdict, console: Console) -> None:
    told = words.open_questions(verdict)
    for line in told:
        console.print(Text.assemble(("open", "yellow"), "  ", printable.line(line)))
    if told:
        console.print()


def _heading(outcome: Outcome, cells: list[CellRecord], console: Console) -> None:
    word = Text(words.WORDS[outcome], STYLES[outcome])
    console.print(Text.assemble(word, "  ", (words.where(cells), "bold")))


def _summary(verdict: Verdict) -> Text:
    parts = [Text(f"{count} {words.WORDS[o]}", STYLES[o]) for o, count in words.counts(verdict).items()]
    cells = words.cells(len(verdict.cells))
    text = Text.assemble(cells, ": ", Text(", ").join(parts)) if parts else Text(cells)
    if missing := words.missing(verdict):
        text.append(f"; {missing}", "yellow")
    return text


def _line(console: Console, text: str | Text, indent: int, whole: bool = False) -> None:
    """Wrapped at words, or, where it is for copying, left `whole` for the terminal to wrap."""
    line = Text(text) if isinstance(text, str) else text
    if whole:
        console.print(Text(" " * indent) + line, soft_wrap=True)
    else:
        console.print(Padding(line, (0, 0, 0, indent), expand=False))

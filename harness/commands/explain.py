"""`lockstep explain`: everything that is known of one cell, judged anew from its trace."""

from __future__ import annotations

import difflib
import fnmatch
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.output import console, say
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.verdicts.verdict import CellRecord

WORST_FIRST = ("fail", "unknown", "accepted", "pass", "unsupported")


def explain(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a run, or of a single trace.", show_default=False)
    ],
    cell: Annotated[
        str | None,
        typer.Argument(
            metavar="[CELL]",
            help="Cell of the run, as FRAMEWORK==VERSION/SCENARIO, or a part of it. Default: the worst.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the whole evidence for one cell: diagnosis, token weights, norms, the update rule, and what ran.

    Exit status: 0, or 3 for a cell that could not be judged.
    """
    from harness.commands.recorded import is_trace, lone_cell

    if is_trace(folder):
        if cell is not None:
            raise Stop(f"{folder} is a single trace; leave out {cell!r}")
        _explain(lone_cell(folder), folder, alone=True)
        return
    found = pick(_cells(folder), cell)
    _explain(found, folder / found.trace if found.trace else None)


def _cells(folder: Path) -> list[CellRecord]:
    from harness.commands.recorded import read_run

    cells = read_run(folder).cells
    if not cells:
        raise Stop(f"{folder} has no cells yet; run some with `lockstep run --out {folder}`", UNKNOWN)
    return cells


def pick(cells: Sequence[CellRecord], wanted: str | None) -> CellRecord:
    """The cell of that name; else the only one that matches it as a shell pattern or has it as a part; the worst cell
    if no name is given. Raises Stop."""
    if wanted is None:
        return min(cells, key=lambda c: WORST_FIRST.index(c.verdict))
    exact = [c for c in cells if c.name == wanted]
    near = exact or [c for c in cells if fnmatch.fnmatchcase(c.name, wanted) or wanted in c.name]
    if len(near) == 1:
        return near[0]
    names = [c.name for c in cells]
    if near:
        some = ", ".join(c.name for c in near[:3]) + (", ..." if len(near) > 3 else "")
        raise Stop(f"{wanted!r} fits {len(near)} cells ({some}); give one of them")
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0) or names[:1]
    raise Stop(f"no cell {wanted!r} in this run; did you mean {close[0]}?")


def _explain(cell: CellRecord, trace: Path | None, alone: bool = False) -> None:
    """`alone`: whether the trace is no run's, so that it may say itself what was wanted."""
    from harness.commands import evidence
    from reports import terminal

    told = console()
    if trace is None:
        terminal.cell(cell, told)
    else:
        from harness.commands.recorded import judged_again
        from harness.judging.judge import judge

        judged = judge(trace, carried=alone)
        cell = judged_again(cell, judged)
        terminal.cell(cell, told)
        evidence.show(judged.steps, told)
        evidence.left_open(judged.open, told)
        if not judged.steps:
            evidence.logs(trace, told)
        if judged.header is not None:
            evidence.ran(judged.header, told)
            evidence.took(trace, judged.header.ranks, told)
    where = "" if trace is None else f"trace: {shlex.quote(str(trace))}\n"
    command = f"reproduce: {cell.command}" if cell.command else ""
    say((where + command).rstrip("\n"))
    if cell.verdict == "unknown":
        raise typer.Exit(UNKNOWN)

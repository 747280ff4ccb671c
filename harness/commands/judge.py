"""`lockstep judge`: recorded traces judged again, without any framework."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.oracle.basis import BasisCache
    from harness.verdict import CellRecord


def judge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of runs or of single traces.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON on stdout, and nothing else.")] = (
        False
    ),
) -> None:
    """Judge recorded traces again, by this release's checks. Nothing is written.

    Exit status: 0 all pass, 1 a divergence was found, 2 wrong usage, 3 something could not be judged.
    """
    from harness import verdict
    from harness.oracle.basis import BasisCache
    from harness.session.folder import own_version

    cache = BasisCache()
    found = [cell for folder in folders for cell in _recorded(folder)]
    cells = [_judged(cell, cache) for cell in found]
    summary: dict[str, int] = {**Counter(cell.verdict for cell in cells)}
    whole = verdict.Verdict(lockstep=own_version(), cells=cells, summary=summary, complete=True)
    if as_json:
        typer.echo(whole.model_dump_json(by_alias=True, indent=1, exclude_none=True))
    else:
        from rich.console import Console

        from reports import terminal

        terminal.show(whole, str(folders[0]) if len(folders) == 1 else "", Console(highlight=False, markup=False))
    raise typer.Exit(verdict.exit_status(cells))


def _recorded(folder: Path) -> list[CellRecord]:
    """The cells of a folder, `trace` being a path from here."""
    from harness.commands.recorded import is_trace, lone_cell, read_run

    if is_trace(folder):
        return [lone_cell(folder)]
    cells = read_run(folder).cells
    return [c.model_copy(update={"trace": str(folder / c.trace)}) if c.trace else c for c in cells]


def _judged(cell: CellRecord, cache: BasisCache) -> CellRecord:
    """A cell without a trace stays what it was: unsupported, or unknown."""
    if cell.trace is None:
        return cell
    from harness.commands.recorded import judged_again
    from harness.judge import judge as judge_trace

    return judged_again(cell, judge_trace(Path(cell.trace), cache))

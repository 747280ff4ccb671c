"""`lockstep objectives`: what the options of each release of a run do to an objective, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.output import console, document, json
from harness.commands.stop import UNKNOWN, Stop


def objectives(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/objectives.md.")] = False,
) -> None:
    """Tell, for each release and objective of a run, whether the weights equal the published ones, or how they differ,
    and which settings make the same update.

    Exit status: 0, 2 for what is no run, 3 for a run of no such objective.
    """
    from harness.commands.recorded import read_run
    from harness.translating.table import objectives as told
    from reports import objectives as report

    found = told(read_run(folder))
    if not found.objectives:
        raise Stop(f"{folder} has no cell on a scenario dpo-* or grpo-* of the catalogue", UNKNOWN)
    if as_json:
        json(found.model_dump_json(by_alias=True, indent=1, exclude_none=True))
    elif as_markdown:
        document(report.markdown(found))
    else:
        report.show(found, console())

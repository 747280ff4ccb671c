"""`lockstep record`: what the optimizer steps of a user's own training really do, with no line of it changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import on_cluster
from harness.commands.options import folder
from harness.commands.output import say, warn
from harness.commands.stop import UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from harness.launch.cluster.slurm import Allocation
    from harness.recordings.making import Made
    from lockstep_recorder.settings import Settings

MOST_STEPS = 10**9


@on_cluster.with_options
def record(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND...", help="Whatever starts the training.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", callback=folder, help="Folder of the recording.", show_default=False),
    ],
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="N|N-M[,...]",
            help="Optimizer steps that are watched, from 0. Default: 0-2, or none with --every.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_STEPS, help="Watch every step that this number divides.", show_default=False),
    ] = None,
    keep_tokens: Annotated[
        bool, typer.Option("--keep-tokens", help="Keep the token ids, which are your data, in the recording.")
    ] = False,
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Watch the optimizer steps of any training command that runs on PyTorch, without touching its code.

    The training computes what it would compute unwatched. Nothing leaves this machine. Afterwards, `lockstep judge DIR`
    says what the watched steps did.

    Exit status: that of the command; 3 if it ended well and nothing was recorded, or if its job has ended before it.
    """
    from lockstep_recorder.settings import Settings

    ranges = _ranges(steps if steps is not None or every is not None else "0-2")
    if not ranges and every is None:
        raise typer.BadParameter("no step is given; give such as 0-2", param_hint="--steps")
    made = _made(command, Settings(str(out.absolute()), ranges, every, keep_tokens), on_cluster.one_job(cluster, out))
    for why in made.ended:
        warn(f"the recording ended early: {why}")
    if made.steps:
        ranks = f"{made.ranks} rank{'s' * (made.ranks > 1)}"
        say(f"recorded {_told(made.steps)} of {ranks} in {out} ({made.size / 1e6:.1f} MB): lockstep judge {out}")
    if made.lost is not None:
        raise Stop(made.lost, UNKNOWN)
    if made.status:
        raise typer.Exit(made.status if made.status > 0 else 128 - made.status)
    if not made.steps:
        raise Stop(
            "nothing was recorded: no process of the command made an optimizer step that is watched, of a model with an"
            " output head; docs/record.md says what is found and what is not",
            UNKNOWN,
        )


def _made(command: list[str], settings: Settings, allocation: Allocation | None) -> Made:
    from harness.recordings import in_job, making

    if allocation is None:
        return making.make(command, settings)
    with terminable():
        return in_job.make(command, settings, allocation, warn)


def _ranges(text: str | None) -> tuple[tuple[int, int], ...]:
    """Raises typer.BadParameter."""
    result = []
    for part in filter(None, (text or "").split(",")):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise typer.BadParameter(f"'{part}' is no step and no range of steps such as 0-2", param_hint="--steps")
        result.append((first, last))
    return tuple(result)


def _told(steps: tuple[int, ...]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]}"
    whole = steps == tuple(range(steps[0], steps[-1] + 1))
    return f"steps {steps[0]}-{steps[-1]}" if whole else f"{len(steps)} steps from {steps[0]} to {steps[-1]}"

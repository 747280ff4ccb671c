"""`lockstep env`: the framework environments on disk. What a verb needs is imported when it runs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.options import MOST_DAYS, finite, folder
from harness.commands.output import console, errors, say
from harness.commands.stop import Stop

app = typer.Typer(help="Build, list and remove framework environments.", no_args_is_help=True)


def _default_root() -> Path:
    from harness.environments import store

    return store.default_root()


Root = Annotated[
    Path,
    typer.Option(
        "--envs", default_factory=_default_root, callback=folder, help="Folder of environments (or set LOCKSTEP_ENVS)."
    ),
]


@app.command("list")
def list_(root: Root) -> None:
    """Show every environment: size, what removing it frees, last use, and whether it is whole."""
    from rich.table import Table
    from rich.text import Text

    from harness.environments import store

    # Never wrapped and never cut: a name that is cut short could not be given to `prune`.
    told = console(soft_wrap=True, width=1000)
    found = store.stored(root)
    if not found:
        told.print(f"no environments in {root}; `lockstep run` builds what it needs")
        return
    table = Table("name", "size", "frees", "last used", "state", box=None, pad_edge=False)
    for each in found:
        used = dt.datetime.fromtimestamp(each.used).astimezone().strftime("%Y-%m-%d %H:%M")
        state = Text("whole") if each.whole else Text("unfinished", "yellow")
        table.add_row(each.name, _mib(each.size), _mib(each.frees), used, state)
    told.print(table)


@app.command("build")
def build_(
    frameworks: Annotated[list[str], typer.Argument(help="Such as deepspeed==0.18.9.", metavar="FRAMEWORK...")],
    root: Root,
) -> None:
    """Build environments ahead of a run, side by side."""
    from harness.environments import build, request

    wanted = [request.parse(text) for text in frameworks]
    try:
        for environment in build.ensure_all(wanted, root, errors):
            say(str(environment.folder))
    except build.BuildFailed as error:
        if error.tail:
            errors(error.tail)
        raise


@app.command()
def prune(
    root: Root,
    names: Annotated[list[str] | None, typer.Argument(help="Environments, as `list` names them.")] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            metavar="DAYS",
            min=0,
            max=MOST_DAYS,
            callback=finite,
            help="Only those not used for so long.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every environment.")] = False,
) -> None:
    """Remove environments that no run uses, and what interrupted builds have left."""
    from harness.environments import store

    if not names and older_than is None and not everything:
        raise Stop("say which: names, --older-than DAYS or --all")
    if names and everything:
        raise Stop("give names or --all, not both")
    try:
        pruned = store.prune(root, names or (), older_than)
    except KeyError as error:
        raise Stop(f"no environment {error.args[0]!r} in {root}; see `lockstep env list`") from None
    for each in pruned.removed:
        say(f"removed {each.name}")
    for name in pruned.busy:
        errors(f"kept {name}: a run uses it")
    say(f"freed {_mib(sum(each.frees for each in pruned.removed))}")


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"

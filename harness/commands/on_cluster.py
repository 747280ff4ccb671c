"""The options that say where cells run: `--on slurm`, and what is asked of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands.stop import Stop

if TYPE_CHECKING:
    from harness.launch.slurm import Allocation

MOST_NODES = 1024
MOST_CPUS = 4096
PANEL = "On a cluster"


class Cluster(StrEnum):
    slurm = "slurm"


def _option(*names: str, metavar: str, said: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=said, rich_help_panel=PANEL, **more)


On = Annotated[
    Cluster | None,
    typer.Option(
        "--on",
        help="Run cells in jobs of a cluster. Default: on this machine.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Nodes = Annotated[int | None, _option("--nodes", metavar="N", min=1, max=MOST_NODES, said="Most jobs at once; 1.")]
Cpus = Annotated[
    int | None,
    _option("--cpus", metavar="N", min=1, max=MOST_CPUS, said="Cores of each job; two for each of its cells at once."),
]
Partition = Annotated[str | None, _option("--partition", metavar="NAME", said="Partition of the jobs.")]
Account = Annotated[str | None, _option("--account", metavar="NAME", said="Whose account the jobs are put on.")]
Gres = Annotated[str | None, _option("--gres", metavar="LIST", said="What else each job needs, as `gpu:4`.")]
Time = Annotated[str | None, _option("--time", metavar="T", said="Time limit of a job, as sbatch reads it; an hour.")]
Sbatch = Annotated[
    list[str] | None,
    _option("--sbatch", metavar="OPTION", said="Other option of sbatch, as `--qos=Q`; repeatable."),
]
Srun = Annotated[
    list[str] | None,
    _option("--srun", metavar="OPTION", said="Option of srun in a job, as `--container-image=I`; repeatable."),
]
Prolog = Annotated[
    list[str] | None, _option("--prolog", metavar="LINE", said="Shell line before it, as `module load M`; repeatable.")
]


def allocation(on: Cluster | None, out: Path | None, **asked: Any) -> Allocation | None:
    """What these options ask for; None where cells run here. Raises Stop, and NoSlurm where there is none."""
    from harness.launch import slurm

    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in asked.items() if value is not None
    }
    if on is None:
        if given:
            raise Stop(f"--{next(iter(given))} is for the jobs of a cluster; add --on slurm")
        return None
    given = {**_of_site(), **given}
    for name in ("sbatch", "srun"):
        if wrong := next((word for word in given.get(name, ()) if not _is_option(word)), None):
            raise Stop(f"--{name} {wrong!a}: give one option of {name} as --{name}=--NAME or --{name}=--NAME=VALUE")
    for name, value in given.items():
        if any(not text.isprintable() or not text for text in (value if isinstance(value, tuple) else (str(value),))):
            raise Stop(f"--{name} is empty, or has characters that cannot be printed; give one line")
    if "%" in str((out or Path()).absolute()):
        raise Stop("Slurm reads a % in the path of --out as a pattern; choose another folder")
    slurm.check()
    return slurm.Allocation(**given)


def _of_site() -> dict[str, Any]:
    """What the site file says of jobs; a list of the command line takes the place of its own."""
    from harness.site.current import current

    told = current().slurm
    if told is None:
        return {}
    named = {name: getattr(told, name) for name in ("partition", "account", "gres", "nodes", "nnodes", "time")}
    lists = {"srun": told.options, "prolog": told.prolog}
    return {name: value for name, value in {**named, **lists}.items() if value}


def _is_option(word: str) -> bool:
    name = word.removeprefix("--").partition("=")[0]
    return word.startswith("--") and name.replace("-", "").isalnum()

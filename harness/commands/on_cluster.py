"""The options that say where cells run: `--on slurm`, and what is asked of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from harness.commands.options import at_once
from harness.commands.stop import Stop
from harness.limits import MAX_MACHINES

if TYPE_CHECKING:
    from harness.launch.cluster.slurm import Allocation

MOST_NODES = 1024
MOST_CPUS = 4096
PANEL = "On a cluster"


class Cluster(StrEnum):
    slurm = "slurm"


def _option(*names: str, metavar: str, said: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=said, rich_help_panel=PANEL, **more)


@dataclass(frozen=True)
class Asked:
    """What is asked of a cluster; a command that `with_options` makes has an option for each field."""

    on: Annotated[
        Cluster | None,
        typer.Option(
            "--on",
            help="Run in jobs of a cluster. Default: on this machine.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None
    nodes: Annotated[
        int | None,
        _option(
            "--nodes",
            metavar="N",
            min=1,
            max=MOST_NODES,
            said="Most jobs at once; 1.",
        ),
    ] = None
    nnodes: Annotated[
        int | None,
        _option(
            "--nnodes",
            metavar="N",
            min=1,
            max=MAX_MACHINES,
            said="Nodes of each job, over which each of its cells is spread, or on each of which the command runs; 1.",
        ),
    ] = None
    cpus: Annotated[
        int | None,
        _option(
            "--cpus", metavar="N", min=1, max=MOST_CPUS, said="Cores of each job; two for each of its cells at once."
        ),
    ] = None
    partition: Annotated[str | None, _option("--partition", metavar="NAME", said="Partition of the jobs.")] = None
    account: Annotated[str | None, _option("--account", metavar="NAME", said="Whose account the jobs are put on.")] = (
        None
    )
    gres: Annotated[str | None, _option("--gres", metavar="LIST", said="What else each job needs, as `gpu:4`.")] = None
    time: Annotated[
        str | None, _option("--time", metavar="T", said="Time limit of a job, as sbatch reads it; an hour.")
    ] = None
    sbatch: Annotated[
        list[str] | None,
        _option("--sbatch", metavar="OPTION", said="Other option of sbatch, as `--qos=Q`; repeatable."),
    ] = None
    srun: Annotated[
        list[str] | None,
        _option("--srun", metavar="OPTION", said="Option of srun in a job, as `--container-image=I`; repeatable."),
    ] = None
    prolog: Annotated[
        list[str] | None,
        _option("--prolog", metavar="LINE", said="Shell line before it, as `module load M`; repeatable."),
    ] = None

    def at_once(self, jobs: int | None) -> int:
        """Cells at once, here or in each job."""
        return at_once(jobs) if self.on is None else jobs or 1


NOTHING = Asked()
LOCAL = Path("local")
"""What --envs says, with a cluster, where each node builds its own."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of `Asked`, all of which it gets as its parameter `cluster`."""
    names = [field.name for field in fields(Asked)]
    own, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    hints |= get_type_hints(Asked, include_extras=True)

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        asked = Asked(**{name: given.pop(name) for name in names})
        command(**given, cluster=asked)

    before = [own.parameters[name] for name in own.parameters if name != "cluster"]
    added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names]
    typed = [parameter.replace(annotation=hints[parameter.name]) for parameter in [*before, *added]]
    vars(whole)["__signature__"] = inspect.Signature(typed)
    whole.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
    return whole


def allocation(asked: Asked, out: Path | None, envs: Path | None = None, spread: bool = True) -> Allocation | None:
    """What these options ask for; None where all runs here. `spread`: whether a job may have several nodes.

    Raises Stop, and NoSlurm where there is none.
    """
    from harness.launch.cluster import slurm

    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(asked).items()
        if value is not None and name != "on"
    }
    if asked.on is None:
        if given:
            raise Stop(f"--{next(iter(given))} is for the jobs of a cluster; add --on slurm")
        return None
    if not spread and asked.nnodes is not None:
        raise Stop("--nnodes is for cells that are spread over nodes, and here each runs on one; leave it out")
    given = {**_of_site(), **given, **({} if spread else {"nnodes": 1})}
    _check(given, out)
    slurm.check()
    found = slurm.Allocation(**given)
    return replace(found, builds=_builds(found)) if envs == LOCAL else found


def shared(envs: Path | None, allocation: Allocation | None) -> Path | None:
    """The folder of environments that all nodes see, as --envs says it; None: the default."""
    return None if allocation is not None and allocation.builds is not None else envs


def _builds(asked: Allocation) -> Path:
    """Raises Stop."""
    from harness.launch import built

    if asked.nnodes > 1:
        raise Stop("--envs local builds on one node of a job, and --nnodes asks for several; leave out one of them")
    return built.place()


def one_job(asked: Asked, out: Path | None, envs: Path | None = None) -> Allocation | None:
    """The same of a command that has a single job, whose nodes are a matter of that command. Raises as `allocation`."""
    if asked.nodes is not None and asked.on is not None:
        raise Stop("--nodes is the number of jobs, and here there is one; --nnodes is the number of its nodes")
    found = allocation(replace(asked, nnodes=asked.nnodes or 1) if asked.on else asked, out, envs)
    return found and replace(found, nodes=1)


def only_shared(asked: Asked, envs: Path | None, why: str) -> None:
    """Refuse --envs local. Raises Stop."""
    if asked.on is not None and envs == LOCAL:
        raise Stop(f"--envs local is not for this command, {why}; give a folder that all nodes see")


def _check(given: Mapping[str, Any], out: Path | None) -> None:
    """Raises Stop."""
    for name in ("sbatch", "srun"):
        if wrong := next((word for word in given.get(name, ()) if not _is_option(word)), None):
            raise Stop(f"--{name} {wrong!a}: give one option of {name} as --{name}=--NAME or --{name}=--NAME=VALUE")
    for name, value in given.items():
        if any(not text.isprintable() or not text for text in (value if isinstance(value, tuple) else (str(value),))):
            raise Stop(f"--{name} is empty, or has characters that cannot be printed; give one line")
    if "%" in str((out or Path()).absolute()):
        raise Stop("Slurm reads a % in the path of --out as a pattern; choose another folder")


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

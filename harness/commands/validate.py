"""`lockstep validate`: what a user's own configuration says of an optimizer step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import on_cluster
from harness.commands.options import Device, Environments, OnDevice, folder
from harness.commands.output import console, document, errors, json, warn
from harness.commands.stop import UNKNOWN, Stop, terminable
from harness.commands.typed import command

if TYPE_CHECKING:
    from harness.launch.cluster.slurm import Allocation
    from harness.validation.known.pins import Pins
    from harness.validation.read.configuration import Configuration
    from harness.validation.record import Plan, Validation
    from harness.validation.small.running import Do

DIVERGES = 1
JOB = "job"
"""Folder of --out through which a job is spoken with, as long as it goes on."""
LONGEST = 2000
"""Characters of a command line that a report shows."""

MOST_RANKS = 2**20
MOST_ROWS = 10**12


class Format(StrEnum):
    """Faces of a plan."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@on_cluster.with_options
def validate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE [KEY=VALUE...] | -- COMMAND...",
            help="A configuration's file, or the command that starts the training; a script is read, and not run.",
            show_default=False,
        ),
    ],
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Read it and say what would run; nothing is run."),
    ] = False,
    captured: Annotated[
        bool,
        typer.Option(
            "--capture",
            help="Run the script, with launchers that only note how they are called, and read what it would start.",
        ),
    ] = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="DeepSpeed's JSON or accelerate's YAML that goes with it; may be repeated."
        ),
    ] = None,
    versions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE | PYTHON",
            help="Requirements, a lock file, an interpreter or its folder. Default: what the repository pins.",
        ),
    ] = None,
    world: Annotated[
        int | None, typer.Option(min=1, max=MOST_RANKS, help="Ranks of the real training.", show_default=False)
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_ROWS,
            help="Rows of the dataset, packed ones as one, for the schedule's horizon.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rows of yours, of which the small runs take the first: JSON, JSON lines, CSV or Parquet.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            callback=folder,
            help="Keep reports, recordings and logs there; it must be empty. Default: nothing is kept.",
            show_default=False,
        ),
    ] = None,
    device: OnDevice = Device.cpu,
    envs: Environments = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 3 where anything that it asks for is not covered.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How it is told.")] = Format.TEXT,
    cluster: on_cluster.Asked = on_cluster.NOTHING,
) -> None:
    """Run a configuration of yours, shrunk, by the framework's own entry point, and hold it against what it says.

    Of LLaMA-Factory, TRL, the Trainer of transformers, OpenRLHF, verl, axolotl and ms-swift. The model, the data, the
    length and the ranks are small; what decides a step is kept. With --plan it is only read.

    Exit status: 0 if nothing was found, or with --plan if it could be read; 1 if a step is not what it should be; 2 if
    it could not be read; 3 if something could not be told, with --strict also if something that it asks for is not
    covered.
    """
    from harness.validation import plan as planning
    from harness.validation import reading
    from harness.validation.known import pins

    configuration = (
        _captured(words, beside or [], world, data) if captured else reading.read(words, beside or [], world, rows=data)
    )
    pinned = pins.given(versions) if versions else pins.around(reading.place(words), planning.wanted(configuration))
    configuration = planning.on(configuration, pinned.versions, device.value, reading.place(words))
    if plan and cluster.on is not None:
        raise Stop("--plan runs nothing that --on could hand to a cluster; give one of them")
    allocation = _allocation(cluster, out, envs)
    if plan and out is not None:
        raise Stop("--plan runs nothing that --out could keep; give one of them")
    if plan:
        told = planning.made(configuration, pinned, rows)
        _show(format_, told)
        _strictly(strict, told.uncovered)
        return
    found = _validated(
        configuration, pinned, rows, reading.place(words), on_cluster.shared(envs, allocation), out, allocation
    )
    if out is not None:
        _write(found, out)
    _show(format_, found)
    conclude(found, strict)


def conclude(found: Validation, strict: bool) -> None:
    """Raises typer.Exit with status 1 or 3 but for a pass, of which with `strict` nothing may be uncovered."""
    if found.outcome != "pass":
        raise typer.Exit(DIVERGES if found.outcome == "fail" else UNKNOWN)
    _strictly(strict, len(found.of_configuration))


def _strictly(strict: bool, uncovered: int) -> None:
    if strict and uncovered:
        warn(f"--strict: {uncovered} not covered")
        raise typer.Exit(UNKNOWN)


def _validated(
    configuration: Configuration,
    pinned: Pins,
    rows: int | None,
    near: Path,
    envs: Path | None,
    out: Path | None,
    allocation: Allocation | None,
) -> Validation:
    from harness import temporary
    from harness.environments import store
    from harness.validation.read import redaction
    from harness.validation.validate import Wish, validate

    with temporary.folder("validate") if out is None else _kept(out) as place, _doing(allocation, place) as do:
        typed = redaction.line(command(), LONGEST)
        builds = None if allocation is None else allocation.builds
        wish = Wish(configuration, pinned, rows, near, envs or store.default_root(), place, typed, do, builds)
        return validate(wish, errors)


def _allocation(cluster: on_cluster.Asked, out: Path | None, envs: Path | None) -> Allocation | None:
    """Raises Stop and NoSlurm."""
    if cluster.on is not None and out is None:
        raise Stop("--on slurm hands its small runs to a node; give --out DIR, a folder that it sees too")
    if cluster.nnodes is not None:
        raise Stop("--nnodes is for commands with ranks of their own, and these run on one node; leave it out")
    return on_cluster.one_job(cluster, out, envs)


@contextmanager
def _doing(allocation: Allocation | None, out: Path) -> Iterator[Do]:
    """Where the small runs are done: here, or in one job, which is asked for with the first of them."""
    from harness.launch.cluster.held import Held
    from harness.validation.small import running

    if allocation is None:
        yield running.here
        return
    jobs: list[Held] = []
    with terminable(), ExitStack() as held:
        held.callback(shutil.rmtree, out / JOB, ignore_errors=True)

        def do(work: Callable[..., Any], *of: Any) -> Any:
            if not jobs:
                jobs.append(held.enter_context(Held(allocation, out / JOB, errors)))
            (answer,) = jobs[0].do(work, *of)
            return answer

        yield do


@contextmanager
def _kept(out: Path) -> Iterator[Path]:
    """Raises Stop for a folder that has something in it, or cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise Stop(f"--out {out} is not empty; give a folder of its own for each validation")
    except OSError as error:
        raise Stop(f"--out {out} cannot be written ({error.strerror}); give another folder") from None
    yield out.absolute()


def _write(found: Validation, out: Path) -> None:
    """Every face of it. Raises Stop."""
    from harness import files
    from reports.validation.faces import faces

    try:
        for name, text in faces(found).items():
            files.replace(out / name, text)
    except OSError as error:
        raise Stop(f"--out {out} cannot be written any more ({error.strerror or error})", UNKNOWN) from None


def _show(format_: Format, told: Plan | Validation) -> None:
    from reports.validation import markdown, terminal

    if format_ is Format.JSON:
        json(told.model_dump_json(by_alias=True, indent=1))
    elif format_ is Format.MARKDOWN:
        document(markdown.page(told))
    else:
        terminal.show(told, console())


def _captured(words: Sequence[str], beside: Sequence[Path], world: int | None, rows: Path | None) -> Configuration:
    from harness.validation import capture, reading

    if not words or reading.starts_with_file(words):
        raise Stop("--capture needs -- and the command that starts the training, such as: bash run_sft.sh")
    found = capture.run(words)
    return replace(reading.read(found.words, beside, world, found.here, rows), captured=found.told)

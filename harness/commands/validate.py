"""`lockstep validate`: what a user's own configuration says of an optimizer step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import Device, Environments, OnDevice, folder
from harness.commands.output import console, document, errors, json, warn
from harness.commands.stop import UNKNOWN, Stop
from harness.commands.typed import command

if TYPE_CHECKING:
    from harness.validation.known.pins import Pins
    from harness.validation.read.configuration import Configuration
    from harness.validation.record import Plan, Validation

DIVERGES = 1
LONGEST = 2000
"""Characters of a command line that a report shows."""

MOST_RANKS = 2**20
MOST_ROWS = 10**12


class Format(StrEnum):
    """Faces of a plan."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


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
    if plan and out is not None:
        raise Stop("--plan runs nothing that --out could keep; give one of them")
    if plan:
        told = planning.made(configuration, pinned, rows)
        _show(format_, told)
        _strictly(strict, told.uncovered)
        return
    found = _validated(configuration, pinned, rows, reading.place(words), envs, out)
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
) -> Validation:
    from harness import temporary
    from harness.environments import store
    from harness.validation.read import redaction
    from harness.validation.validate import Wish, validate

    with temporary.folder("validate") if out is None else _kept(out) as place:
        typed = redaction.line(command(), LONGEST)
        wish = Wish(configuration, pinned, rows, near, envs or store.default_root(), place, typed)
        return validate(wish, errors)


@contextmanager
def _kept(out: Path) -> Iterator[Path]:
    """Raises Stop for a folder that has something in it, or cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise Stop(f"--out {out} is not empty; give a folder of its own for each validation")
    except OSError as error:
        raise Stop(f"--out {out} cannot be written ({error.strerror}); give another folder") from None
    yield out


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

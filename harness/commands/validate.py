"""`lockstep validate`: what a user's own configuration says of an optimizer step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.output import document, json, say, warn
from harness.commands.stop import UNKNOWN, Stop

if TYPE_CHECKING:
    from harness.validation.configuration import Configuration

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
        typer.Option(
            "--plan", help="Read it and say what would run. Must be given: this release runs no configuration."
        ),
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
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 3 where anything of it is not covered.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How it is told.")] = Format.TEXT,
) -> None:
    """Say what a configuration of yours does to an optimizer step: a word for each of its keys, and the effective step.

    Of LLaMA-Factory, TRL, the Trainer of transformers, OpenRLHF, verl, axolotl and ms-swift. So far it only reads:
    --plan must be given, and nothing is run.

    Exit status: 0 if it could be read; 2 if not; with --strict 3 if anything of it is not covered.
    """
    if not plan:
        raise Stop("validate only reads so far, and runs no configuration: give --plan")
    from harness.validation import pins, reading
    from harness.validation import plan as planning
    from reports import validation as report

    configuration = _captured(words, beside or [], world) if captured else reading.read(words, beside or [], world)
    wanted = planning.wanted(configuration)
    found = pins.given(versions) if versions else pins.around(reading.place(words), wanted)
    told = planning.made(configuration, found, rows)
    if format_ is Format.JSON:
        json(told.model_dump_json(by_alias=True, indent=1))
    elif format_ is Format.MARKDOWN:
        document(report.page(told))
    else:
        say("\n".join(report.lines(told)))
    if strict and told.uncovered:
        warn(f"--strict: {told.uncovered} not covered")
        raise typer.Exit(UNKNOWN)


def _captured(words: Sequence[str], beside: Sequence[Path], world: int | None) -> Configuration:
    from harness.validation import capture, reading

    if not words or reading.starts_with_file(words):
        raise Stop("--capture needs -- and the command that starts the training, such as: bash run_sft.sh")
    found = capture.run(words)
    return replace(reading.read(found.words, beside, world, found.here), captured=found.told)

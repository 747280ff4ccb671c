"""What commands of experiments have alike: how many trainings they make at once, and what they end with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.output import Console, console, json, say
from harness.commands.stop import UNKNOWN, Stop
from harness.limits import MOST_JOBS

Trainings = Annotated[
    int | None,
    typer.Option(
        "--jobs", min=1, max=MOST_JOBS, help="Most trainings at once. Default: one a core.", show_default=False
    ),
]


def write(out: Path, document: Callable[[Path], object], pages: Mapping[str, str]) -> None:
    """The document, and its pages by their names. Raises Stop where nothing can be written any more."""
    from harness import files

    try:
        document(out)
        for name, text in pages.items():
            files.replace(out / name, text)
    except OSError as error:
        raise Stop(f"{out} cannot be written any more: {error.strerror or error}", UNKNOWN) from None


def report(document: Path, page: Path, as_json: bool, show: Callable[[Console], None]) -> None:
    """Print the document itself, or what people read."""
    if as_json:
        json(document.read_text(encoding="utf-8"))
    else:
        show(console())
        say(f"all of it: {document}")
        say(f"to look at: {page}")

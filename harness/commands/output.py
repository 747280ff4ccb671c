"""Whatever a command prints: text that nothing hides in, on one of two streams. Nothing else in Lockstep prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from harness import printable


class Console(RichConsole):
    """A console of which every text is printable, whoever gives it one; rich's own colours and moves are no text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        at_start = True
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            yield Segment(printable.block(segment.text) if at_start else _going_on(segment.text), segment.style)
            at_start = segment.text.endswith("\n") or (at_start and not segment.text.strip(" "))


def _going_on(text: str) -> str:
    """What follows in a line, and so begins none."""
    return printable.block(f"-{text}")[1:]


def say(text: str) -> None:
    """Print lines on stdout."""
    typer.echo(printable.block(text))


def errors(text: str) -> None:
    """Print lines on stderr."""
    typer.echo(printable.block(text), err=True)


def warn(text: str) -> None:
    """Print one line on stderr, which tells who says it."""
    typer.echo(f"lockstep: {printable.line(text)}", err=True)


def document(text: str) -> None:
    """Print a document on stdout as it is, which is printable already: what a report wrote, or JSON."""
    typer.echo(text, nl=False)


def json(text: str) -> None:
    """Print a JSON document on stdout: the same data, with what cannot be seen as JSON's own escapes."""
    document(printable.json(text if text.endswith("\n") else f"{text}\n"))


def console(**options: Any) -> Console:
    """What draws tables and colours on stdout, or with `stderr=True` there. `options` are those of rich's Console.

    No text is read as markup, and none leaves that is not printable.
    """
    return Console(**{"highlight": False, "markup": False, **options})

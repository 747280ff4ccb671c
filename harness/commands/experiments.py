"""What commands of experiments end with: a document, its pages, and what is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.commands.output import Console, console, json, say
from harness.commands.stop import UNKNOWN, Stop


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

"""Reading a file that may be of any size, and writing one whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class TooLarge(Exception):
    """A file has more bytes than are read of it; the message says so in some words."""


def read(path: Path, most: int) -> bytes:
    """All of a file that somebody else may have written. Raises TooLarge and OSError."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"it has more than {most} bytes")
    return content


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one atomic step, so that whoever reads meets the old or the new, never half.

    Whatever has that name, a link or a pipe too, is replaced, and nothing is written through it. Threads and processes
    that write the same file do not meet in the partial one, whose name nobody can guess, and none is left where the
    disk is full. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write(path: Path, text: str) -> None:
    """The same where a user named the file: a link is followed, and what is no file, as /dev/stdout, is written to."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
    else:
        replace(path.resolve(), text)

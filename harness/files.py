"""Reading a file that may be of any size, and writing one whole or not at all."""

from __future__ import annotations

import os
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

    Processes that write the same file do not meet in the partial one, and none is left where the disk is full. What is
    no file, such as /dev/stdout, is not replaced but written to. Raises OSError.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

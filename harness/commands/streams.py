"""The standard streams of the process: whoever stops reading is no error, and no character is too much for them."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Unwritable(Exception):
    """What was to be printed cannot be; the message is one line."""


class _Stream(io.FileIO):
    """A descriptor that is written to until that fails, and then no more."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._told_as = name
        self._lost = False

    def write(self, data: ReadableBuffer) -> int:
        """All of it, as far as the caller is told. Raises Unwritable once, unless it is a reader who has gone."""
        size = memoryview(data).nbytes
        if self._lost:
            return size
        try:
            return super().write(data) or 0
        except OSError as error:
            self._lost = True
            if self._told_as and not isinstance(error, BrokenPipeError):
                raise Unwritable(f"{self._told_as} cannot be written: {error.strerror or error}") from None
            return size


def guard() -> None:
    """Put streams in the place of Python's own that nobody's going away, and no full disk, makes a traceback of.

    `lockstep ... | head`: the command goes on without anybody who reads, and its exit status stays its own. What
    cannot be told on stderr, nobody can be told.
    """
    _open_all()
    sys.stdout = _text(sys.stdout, 1, "standard output")
    sys.stderr = _text(sys.stderr, 2, "")


def _open_all() -> None:
    """A descriptor that was closed (`>&-`) would be given to the next file that is opened, and then be printed on."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free


def _text(before: TextIO | None, descriptor: int, name: str) -> TextIO:
    if before is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    raw = _Stream(descriptor, name)
    stream = io.TextIOWrapper(
        cast(IO[bytes], io.BufferedWriter(raw)),
        encoding=before.encoding,
        errors="backslashreplace",  # a name that is no text, or a terminal that knows ASCII alone
        line_buffering=descriptor == 2 or raw.isatty(),
    )
    return cast(TextIO, stream)

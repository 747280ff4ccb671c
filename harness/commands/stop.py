"""How a command ends early: one line for the user and an exit status."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

WRONG_USAGE = 2
UNKNOWN = 3
INTERRUPTED = 130


class Stop(Exception):
    """The command cannot go on. The message says what is wrong and what to do, in one line."""

    def __init__(self, message: str, status: int = WRONG_USAGE) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def terminable() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) do what Ctrl-C does: end every process and keep what was recorded."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""A line to another machine: objects as JSON, one a line, and signs of life between them.

It goes through the standard streams of whatever command reaches that machine, which may print words of its own.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from typing import IO, Any

BEAT = 3.0
"""Seconds between two signs of life."""
SILENCE = 30.0
"""Seconds without any, after which the other end is taken for gone: a connection that is cut tells nobody."""
FIRST = 300.0
"""The same until the first one: to reach a machine may start a container there."""
MARK = b"lockstep:"
"""Before each object, so that a greeting of the other machine is none."""
LONGEST = 1 << 26
"""Bytes of one line; a job has some hundred thousand."""


class Gone(Exception):
    """The other end is not there any more; the message says how that was seen."""


class Line:
    """One end of it. Two threads work for it until the other end is gone."""

    def __init__(self, read: IO[bytes], write: IO[bytes]) -> None:
        self._read = read
        self._write = write
        self._writing = threading.Lock()
        self._begun = time.monotonic()
        self._heard: float | None = None
        self._said: queue.SimpleQueue[dict[str, Any] | Gone] = queue.SimpleQueue()
        self._over = threading.Event()
        for work in (self._listen, self._beat):
            threading.Thread(target=work, name=f"line-{work.__name__}", daemon=True).start()

    def tell(self, **said: Any) -> None:
        """Say something. That nobody hears it is noticed in `hear`."""
        self._send(MARK + json.dumps(said).encode())

    def hear(self) -> dict[str, Any]:
        """Wait for what the other end says next. Raises Gone; then every later call does."""
        said = self._said.get()
        if isinstance(said, Gone):
            self._said.put(said)
            raise said
        return said

    def close(self) -> None:
        """Say no more; the other end sees that."""
        self._over.set()
        with contextlib.suppress(OSError, ValueError), self._writing:
            self._write.close()

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError), self._writing:
            self._write.write(line + b"\n")
            self._write.flush()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := self._read.readline(LONGEST):
                self._heard = time.monotonic()
                if MARK in line:
                    self._said.put(json.loads(line.partition(MARK)[2]))
        self._over.set()
        self._said.put(Gone("its end of the line was closed"))

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            self._send(b"")
            since, most = (self._begun, FIRST) if self._heard is None else (self._heard, SILENCE)
            if time.monotonic() - since > most:
                self._said.put(Gone(f"not heard of for {most:g} s"))
                return

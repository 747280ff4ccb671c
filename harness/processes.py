"""Commands that end with this process, however it ends: each runs below `adapters.inside.keeper`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

PATIENCE = 5.0
"""Seconds that a keeper has to end what it keeps, and itself."""
LARGEST = 8 * 2**20
"""Bytes of output that `run` takes; what uv and an interpreter say has some hundred thousand at most."""
_CHUNK = 1 << 16
_LONGEST = 1 << 20
"""Bytes of a keeper's answer."""


class TooMuchOutput(Exception):
    """A command printed more than is taken of it, and was ended."""


class TimedOut(Exception):
    """A command took longer than it may, and was ended."""


@dataclass(frozen=True)
class Ended:
    """How a kept command ended."""

    code: int | None
    """Exit status, negative for a signal; None if it timed out, or if nobody knows."""
    timed_out: bool = False


@dataclass(frozen=True)
class Done:
    """What a command that ended by itself has said."""

    code: int
    """Exit status, negative for a signal."""
    output: str
    errors: str


class Kept:
    """A command below a keeper of its own, which leaves none of its processes behind, not even its daemons.

    They end with the command, by `close`, and when this process ends. The keeper is run by this very interpreter, so
    that nothing of what it keeps decides what it does. `folder` is that for the command's temporary files (TMPDIR), or
    holds it: the keeper removes it where this process no longer can, and should the keeper be killed, what it kept is
    known by it. `hand_on` are descriptors that the command gets. Raises OSError.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout: float = math.inf,
        folder: Path | None = None,
        cwd: Path | None = None,
        hand_on: Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> None:
        self._folder = folder
        self._channel, theirs = socket.socketpair()
        with theirs:
            options = [str(theirs.fileno()), str(timeout), str(folder or "")]
            self._keeper = subprocess.Popen(
                # isolated and without site packages: it starts in a hundredth of a second
                [sys.executable, "-I", "-S", str(_keeper()), *options, *command],
                env=dict(environment),
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[theirs.fileno(), *hand_on],
                start_new_session=True,  # an interrupt from the terminal is ours to pass on
            )

    @property
    def keeper(self) -> subprocess.Popen[bytes]:
        """The process that keeps the command, whose pipes are those of the command."""
        return self._keeper

    def wait(self, timeout: float = math.inf) -> Ended:
        """Wait for the command's end and that of all that it started; for one thread. Raises TimedOut."""
        try:
            self._channel.settimeout(None if math.isinf(timeout) else timeout)
            with self._channel.makefile("rb") as lines:
                line = lines.readline(_LONGEST)
        except TimeoutError:
            raise TimedOut from None
        except OSError:  # closed by another thread
            return Ended(None)
        return _ended(line)

    def close(self) -> None:
        """End the command and all that it started. A second call does nothing."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(PATIENCE)
        self._keeper.kill()  # the command has asked the kernel to end with it
        if self._keeper.wait() < 0 and self._folder is not None:
            end_all_in(self._folder)
        self._channel.close()


def end_all_in(folder: Path) -> None:
    """Kill every process of this user's that was started to have its temporary files in that folder, or below it.

    Where there is no /proc, none is found.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := _started_in(folder)) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _started_in(folder: Path) -> list[int]:
    mark = f"TMPDIR={folder}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it is another user's, or has ended; a zombie has none
            parts = environ.read_bytes().split(b"\0")
            if any(part == mark or part.startswith(mark + b"/") for part in parts):
                found.append(int(environ.parent.name))
    return found


def _keeper() -> Path:
    spec = find_spec("adapters")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).resolve().parent / "inside" / "keeper.py"


def _ended(line: bytes) -> Ended:
    """What a keeper says; nothing, if it was killed."""
    if not line:
        return Ended(None)
    said: dict[str, Any] = json.loads(line)
    return Ended(said["ended"][0][1] if said["ended"] else None, said["timed_out"])


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    timeout: float = math.inf,
    folder: Path | None = None,
    cwd: Path | None = None,
    hand_on: Sequence[int] = (),
    started: Callable[[Kept], object] = lambda _: None,
) -> Done:
    """Run a command to its end, as `Kept` does, and return what it printed.

    `started` is given the command once it runs, so that another thread can close it; it then ends as killed. Raises
    TimedOut, TooMuchOutput and OSError.
    """
    kept = Kept(command, environment, timeout=timeout, folder=folder, cwd=cwd, hand_on=hand_on, stdin=subprocess.PIPE)
    process = kept.keeper
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = _Drain(process.stdout, kept), _Drain(process.stderr, kept)
    writer = threading.Thread(target=_write, args=(process.stdin, stdin), daemon=True)
    threads = (output, errors, writer)
    try:
        started(kept)
        for thread in threads:
            thread.start()
        ended = kept.wait()
    finally:
        kept.close()
    for thread in threads:
        thread.join()
    if output.too_much or errors.too_much:
        raise TooMuchOutput
    if ended.timed_out:
        raise TimedOut
    return Done(-signal.SIGKILL if ended.code is None else ended.code, output.text, errors.text)


class _Drain(threading.Thread):
    """Reads a pipe to its end, and ends the command where that is too far."""

    def __init__(self, pipe: IO[bytes], kept: Kept) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._kept = kept
        self._read = bytearray()
        self.too_much = False

    @property
    def text(self) -> str:
        return self._read.decode(errors="replace").replace("\r\n", "\n")

    def run(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                self._read += chunk
                if len(self._read) > LARGEST:
                    self.too_much = True
                    self._kept.close()
                    return


def _write(pipe: IO[bytes], text: str) -> None:
    with contextlib.suppress(OSError), pipe:  # a command need not read it
        pipe.write(text.encode())

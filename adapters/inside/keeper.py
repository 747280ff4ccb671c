"""Waits for the processes of a cell and leaves none behind, not even their runaway grandchildren.

Standard library only. `python -m adapters.inside.keeper FD TIMEOUT COMMAND...` keeps one command, such as torchrun.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

GRACE = 1.0
"""Seconds that the other processes have to end by themselves after the first has failed."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ending:
    """How the processes of a cell ended. An exit code is negative for a signal, as in `subprocess`."""

    ended: list[tuple[int, int]] = field(default_factory=list)
    """Number and exit code of the processes that ended by themselves, in that order."""
    killed: list[int] = field(default_factory=list)
    """Numbers of the others."""
    timed_out: bool = False


class Stopped(Exception):
    """The harness asked for the end, or is gone."""


def keep(processes: Mapping[int, int], timeout: float, lifeline: int | None = None) -> Ending:
    """Wait for processes, given as process id -> number, and kill what outlives the cell.

    The cell is over when all of them have ended, `GRACE` seconds after the first of them failed, after `timeout`
    seconds, or when the file descriptor `lifeline` can be read. Raises Stopped for the last, or upon SIGTERM.
    """
    running = dict(processes)
    ended: list[tuple[int, int]] = []
    deadline = time.monotonic() + timeout
    failed = False
    try:
        with wakened_by(signal.SIGCHLD) as wakeup:
            while running and time.monotonic() < deadline:
                for process, code in reap():
                    if process not in running:
                        continue  # an orphan that was handed to us
                    ended.append((running.pop(process), code))
                    if code != 0 and not failed:
                        failed, deadline = True, min(deadline, time.monotonic() + GRACE)
                if running:
                    _sleep(wakeup, lifeline, deadline)
    finally:
        for process in running:
            os.kill(process, signal.SIGKILL)
        kill_descendants()
    return Ending(ended, sorted(running.values()), bool(running) and not failed)


def _sleep(wakeup: int, lifeline: int | None, deadline: float) -> None:
    watched = [wakeup] if lifeline is None else [wakeup, lifeline]
    ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
    if lifeline in ready:
        raise Stopped
    if wakeup in ready:
        os.read(wakeup, 4096)


@contextlib.contextmanager
def wakened_by(number: signal.Signals) -> Iterator[int]:
    """A file descriptor that can be read after that signal, and at first."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    os.write(write, b"\0")  # what ended before this is to be noticed as well
    try:
        yield read
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(number, before)
        os.close(read)
        os.close(write)


def reap() -> Iterator[tuple[int, int]]:
    """Process id and exit code of every child that has ended."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return
        yield process, os.waitstatus_to_exitcode(status)


def kill_descendants() -> None:
    """Kill and reap all children; those of theirs become ours by `adopt_orphans`, and follow.

    Without /proc only what `keep` was told of is killed.
    """
    while True:
        for process in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children() -> list[int]:
    """Process ids of this process's children, zombies too. Empty where there is no /proc."""
    me = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name, in parentheses, may hold anything; state and parent follow it
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if parent == me:
                found.append(int(stat.parent.name))
    return found


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: nothing escapes, not by a session of its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: signal.Signals) -> None:
    """Receive that signal when the thread that forked this process ends. Only to be used below main threads."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def raise_when_terminated() -> None:
    """Let SIGTERM raise Stopped in this process."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the clean-up that follows is not to be disturbed
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> int:
    """Run a command and write its `Ending` as a line of JSON to a socket.

    When the socket is closed before, end the command and remove the folder it ran in: the harness may be no more.
    """
    channel = socket.socket(fileno=int(sys.argv[1]))
    adopt_orphans()
    raise_when_terminated()
    try:
        command = subprocess.Popen(sys.argv[3:])  # close_fds: the channel is not handed on
        ending = keep({command.pid: 0}, float(sys.argv[2]), channel.fileno())
    except Stopped:
        kill_descendants()
        shutil.rmtree(Path.cwd(), ignore_errors=True)
        return 1
    channel.sendall(json.dumps(asdict(ending)).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

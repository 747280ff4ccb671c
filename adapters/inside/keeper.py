"""Waits for processes and leaves none behind, not even their runaway grandchildren.

Standard library only, and nothing of ours: `python keeper.py FD TIMEOUT FOLDER COMMAND...` keeps one command, such as a
template process, torchrun or uv, and is run by the harness's own interpreter, out of reach of what it keeps.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
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

STACKS = signal.SIGUSR1
"""Upon it a rank prints the stacks of its threads."""
PRINTING = 0.3
"""Seconds that it has for that before it is killed."""

CANNOT_RUN = 126
"""Exit code of a command that could not be started, as shells have it."""

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
    seconds (they are asked where they are, then), or when the file descriptor `lifeline` can be read. Raises Stopped
    for the last, or upon SIGTERM.
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
        if running and not failed:
            ask_for_stacks()
    finally:
        for process in running:
            os.kill(process, signal.SIGKILL)
        kill_descendants()
    return Ending(ended, sorted(running.values()), bool(running) and not failed)


def _sleep(wakeup: int, lifeline: int | None, deadline: float) -> None:
    watched = [wakeup] if lifeline is None else [wakeup, lifeline]
    left = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
    ready, _, _ = select.select(watched, [], [], left)
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


def ask_for_stacks() -> None:
    """Let every descendant that listens to `STACKS` print where its threads are, as ranks do; see `rank.run`."""
    asked = [process for process in descendants() if _catches(process, STACKS)]
    for process in asked:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, STACKS)
    if asked:
        time.sleep(PRINTING)


def descendants() -> list[int]:
    """Process ids of this process's children and of theirs. Empty where there is no /proc."""
    by_parent = _by_parent()
    found = list(by_parent.get(os.getpid(), ()))
    for process in found:  # grows while it is gone through
        found += by_parent.get(process, ())
    return found


def children() -> list[int]:
    """Process ids of this process's children, zombies too. Empty where there is no /proc."""
    return _by_parent().get(os.getpid(), [])


def _by_parent() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name, in parentheses, may hold anything; state and parent follow it
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            found.setdefault(int(parent), []).append(int(stat.parent.name))
    return found


def _catches(process: int, number: signal.Signals) -> bool:
    """Whether that signal would run a handler there, and not end it."""
    try:
        status = Path(f"/proc/{process}/status").read_text(errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: nothing escapes, not by a session of its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Receive that signal when the thread that forked this process ends. Only to be used below main threads.

    `parent`: its process id, for who knows it from before the fork.
    """
    parent = os.getppid() if parent is None else parent
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def raise_when_terminated() -> None:
    """Let SIGTERM raise Stopped in this process."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the clean-up that follows is not to be disturbed
        raise Stopped

    signal.signal(signal.SIGTERM, stop)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> int:
    """Run a command and write its `Ending` as a line of JSON to a socket, once nothing of it is left.

    When the socket is closed before, end the command and remove `FOLDER`, if one is given: the harness may be no more.
    """
    channel, timeout, folder, command = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3], sys.argv[4:]
    os.set_inheritable(channel.fileno(), False)
    adopt_orphans()
    raise_when_terminated()
    try:
        ending = _keep_command(command, float(timeout), channel)
    except Stopped:
        kill_descendants()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        return 1
    with contextlib.suppress(BrokenPipeError):
        channel.sendall(json.dumps(asdict(ending)).encode() + b"\n")
    return 0


def _keep_command(command: list[str], timeout: float, channel: socket.socket) -> Ending:
    """Run a command to its end. It gets all descriptors that may be inherited: those that the harness hands on."""
    keeper = os.getpid()
    try:
        process = subprocess.Popen(
            command,
            close_fds=False,
            preexec_fn=lambda: die_with_parent(signal.SIGKILL, keeper),  # noqa: PLW1509  there is but one thread
        )
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return Ending([(0, CANNOT_RUN)])
    return keep({process.pid: 0}, timeout, channel.fileno())


if __name__ == "__main__":
    sys.exit(main())

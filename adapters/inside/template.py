"""The template process of an environment: imports a framework once, then forks the ranks of one cell after another.

`python -m adapters.inside.template ADAPTER FD` talks over the socket FD in lines of JSON. It says `{"ready": true}`, is
asked `{"id", "job", "ranks", "timeout", "scratch"}` or `{"stop": id}`, and answers `{"id", "ended", "killed",
"timed_out"}`, or `{"id", "lost"}` where nobody can say how a cell ended. Cells may overlap. Each has a process that
keeps its ranks, so that ending that one ends the cell; when the socket is closed, everything ends. What the framework
starts beside that, such as a daemon at its import, is ended by the keeper that the harness starts this process below.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from adapters.contract import Job
from adapters.inside import keeper, patched, rank, recorder
from adapters.inside.prepare import prepare

Request = dict[str, Any]


def serve(channel: socket.socket) -> None:
    """Fork a keeper for every request until the socket is closed."""
    cells: dict[int, str] = {}
    pending = b""
    try:
        with keeper.wakened_by(signal.SIGCHLD) as wakeup:
            while True:
                ready, _, _ = select.select([channel.fileno(), wakeup], [], [])
                if wakeup in ready:
                    os.read(wakeup, 4096)
                    _reap(channel, cells)
                if channel.fileno() in ready:
                    data = channel.recv(1 << 16)
                    if not data:
                        return
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        _handle(channel, cells, json.loads(line))
    finally:
        for process in cells:
            os.kill(process, signal.SIGTERM)
        for process in cells:
            os.waitpid(process, 0)


def _handle(channel: socket.socket, cells: dict[int, str], request: Request) -> None:
    if "stop" in request:
        for process in [p for p, cell in cells.items() if cell == request["stop"]]:
            os.kill(process, signal.SIGTERM)
        return
    process = os.fork()
    if process == 0:
        _in_child(functools.partial(_run_cell, channel, request))
    cells[process] = request["id"]


def _reap(channel: socket.socket, cells: dict[int, str]) -> None:
    """Forget the keepers that have ended; answer in place of one that could not."""
    for process, code in keeper.reap():
        cell = cells.pop(process, None)  # or it is a process of the framework's, which that started at its import
        if cell is not None and code != 0:
            _send(channel, {"id": cell, "lost": _lost(code)})


def _lost(code: int) -> str:
    if code < 0:
        return f"the process that keeps the ranks was killed by {keeper.signal_name(-code)}"
    return "the process that keeps the ranks ended before them"


def _run_cell(channel: socket.socket, request: Request) -> int:
    """In the cell's own process: fork its ranks, keep them, answer."""
    os.setpgid(0, 0)
    keeper.adopt_orphans()
    keeper.die_with_parent(signal.SIGTERM)
    keeper.raise_when_terminated()
    ranks: dict[int, int] = {}
    try:
        for number in range(request["ranks"]):
            process = os.fork()
            if process == 0:
                channel.close()
                _in_child(functools.partial(_run_rank, request, number))
            ranks[process] = number
        ending = keeper.keep(ranks, request["timeout"])
    except keeper.Stopped:
        keeper.kill_descendants()
        return 1
    _send(channel, {"id": request["id"], **asdict(ending)})
    return 0


def _run_rank(request: Request, number: int) -> int:
    """In a rank's own process: look as if a launcher had started it, and run."""
    keeper.die_with_parent(signal.SIGKILL)
    job = Job.loads(request["job"])
    rank.redirect_output(Path(job.trace) / rank.log_file(number))
    scratch, world = request["scratch"], str(request["ranks"])
    os.chdir(scratch)
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=world, LOCAL_WORLD_SIZE=world)
    os.environ.update({"TMPDIR": scratch, rank.RENDEZVOUS: scratch})
    tempfile.tempdir = None  # so that it reads TMPDIR again
    return rank.run(job)


def _in_child(body: Callable[[], int]) -> NoReturn:
    """Run `body` in a process just forked, and end without the clean-up that belongs to the template."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = body()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _send(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.sendall(json.dumps(answer).encode() + b"\n")


def main() -> int:
    """Import the adapter and with it its framework, prepare it, and serve."""
    adapter, channel = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness decides what an interrupt means
    prepare(adapter)
    patched.apply()
    recorder.packages()
    gc.collect()
    gc.freeze()  # what is here stays; a collection in a rank would only copy its pages
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _send(channel, {"ready": True})
        serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(main())

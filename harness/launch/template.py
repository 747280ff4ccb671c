"""Cells by a template process: imported once, every cell is forked from it (`adapters.inside.template`)."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.contract import Job
from harness.launch.outcome import Ending, Outcome, conclude, left_early, signal_name, tail
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import Sandbox, exit_code, start_in
from harness.processes import PATIENCE, Kept, TimedOut

START_TIMEOUT = 900.0
"""Seconds for importing the framework and for what it compiles at first use."""
SLACK = 10.0
"""Seconds that a cell's end may be reported late; after that the template itself is taken for dead."""
READY = "ready"
"""What a template says first."""
_LONGEST = 1 << 20
"""Bytes of a line on its channel; an answer has some hundred."""
_SHOWN = 60

_STARTS = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))
"""Starts at once in this process. One imports for seconds, and may compile on two cores (`MAX_JOBS`): many side by side
starve each other, and none is ready while the first could have run cells."""


class TemplateFailed(Exception):
    """A template process ended, or hung, before it could serve. The message ends with what it printed last."""


class Template:
    """Runs cells of one environment; several threads may. A template that has died is started again for the next.

    Each objective has a module of its own, and that a process of its own: what one stands in for, no other may see.

    `variables` are the environment's own; what the template prints goes to the end of `log`.
    """

    def __init__(
        self, python: Path, adapter: str, variables: Mapping[str, str], log: Path, sandbox: Sandbox | None = None
    ) -> None:
        self._python = python
        self._adapter = adapter
        self._variables = variables
        self._log = log
        self._sandbox = sandbox
        self._guard = threading.Lock()
        self._servers: dict[str, _Server] = {}
        """By the module that they have imported."""
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Have the framework imported, if it is not. Raises TemplateFailed. Without it the first cell does this."""
        self._serving(self._adapter)

    def run(self, job: Job, timeout: float) -> Outcome:
        """Run a cell for at most `timeout` seconds, the start of a template not counted."""
        trace = Path(job.trace).resolve()
        job = dataclasses.replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
        try:
            server = self._serving(job.module)
        except TemplateFailed as failure:
            return conclude(trace, Ending(lost=str(failure)), timeout, 0.0)
        begun = time.monotonic()
        ending = server.ask(job, timeout)
        return conclude(trace, ending, timeout, time.monotonic() - begun)

    @property
    def process(self) -> int | None:
        """Id of the process that keeps the adapter's own template, once it was started."""
        server = self._servers.get(self._adapter)
        return server.process if server is not None else None

    def close(self) -> None:
        """End the template and every cell that still runs."""
        self._closed = True
        for server in list(self._servers.values()):
            server.close()

    def _serving(self, module: str) -> _Server:
        with self._guard:
            if self._closed:
                raise TemplateFailed(f"the template of {module} is closed")
            server = self._servers.get(module)
            if server is None or server.dead:
                if server is not None:
                    server.close()
                return self._begin(module)
            server.await_ready()
            return server

    def _begin(self, module: str) -> _Server:
        with _STARTS:
            if self._closed:
                raise TemplateFailed(f"the template of {module} is closed")
            self._servers[module] = server = _Server(self._python, module, self._variables, self._log, self._sandbox)
            server.await_ready()
            return server


class _Server:
    """One template process, and the thread that reads its answers."""

    def __init__(
        self, python: Path, adapter: str, variables: Mapping[str, str], log: Path, sandbox: Sandbox | None
    ) -> None:
        self.dead = False
        self._adapter = adapter
        self._log = log
        self._sandbox = sandbox
        self._numbers = itertools.count()
        self._answers: dict[str, Future[dict[str, Any]]] = {READY: Future()}
        self._guard = threading.Lock()
        self._closing = False
        self._resources = contextlib.ExitStack()
        self._path = path = self._resources.enter_context(adapters_alone())
        scratch = path / "scratch"
        scratch.mkdir()
        self._channel, theirs = socket.socketpair()
        with theirs, log.open("ab") as out:
            channel = str(theirs.fileno())
            start = start_in(
                path, [str(python), "-m", "adapters.inside.template", adapter, channel], python, variables, sandbox
            )
            self._kept = Kept(
                start.command,
                start.environment,
                folder=path,
                cwd=path,
                hand_on=[theirs.fileno()],
                stdout=out,
                stderr=out,
            )
        self._reader = threading.Thread(target=self._read, name=f"template-{self.process}", daemon=True)
        self._reader.start()

    @property
    def process(self) -> int:
        return self._kept.keeper.pid

    def await_ready(self) -> None:
        """Raises TemplateFailed."""
        ready = self._answers[READY]
        try:
            answer = ready.result(START_TIMEOUT)
        except Late:
            self.close()
            raise TemplateFailed(f"importing {self._adapter} took more than {START_TIMEOUT:g} s") from None
        if "lost" in answer:
            self.close()
            raise TemplateFailed(f"importing {self._adapter} failed: {answer['lost']}")

    def ask(self, job: Job, timeout: float) -> Ending:
        """Have a cell run, in a folder of its own, and wait for its end."""
        number = str(next(self._numbers))
        scratch = self._path / f"cell-{number}"
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            scratch.mkdir()
        try:
            return self._ask(number, job, timeout, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _ask(self, number: str, job: Job, timeout: float, scratch: Path) -> Ending:
        answer = Future[dict[str, Any]]()
        request = {
            "id": number,
            "job": job.dumps(),
            "ranks": job.scenario.window.ranks,
            "timeout": timeout,
            "scratch": str(scratch),
        }
        with self._guard:
            if self.dead:
                return Ending(lost="the template process has ended")
            self._answers[number] = answer
            with contextlib.suppress(OSError):  # its death is noticed by the reader
                self._channel.sendall(json.dumps(request).encode() + b"\n")
        try:
            said = answer.result(timeout + SLACK)
        except Late:
            self.close()
            return Ending(timed_out=True)
        except BaseException:
            self._stop(number)
            raise
        if "lost" in said:
            return Ending(lost=said["lost"])
        ended = tuple((r, c) for r, c in said["ended"])
        return Ending(ended, tuple(said["killed"]), said["timed_out"], left=left_early(ended, scratch))

    def close(self) -> None:
        """End the process, and with it its cells; pending questions are answered as lost."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._kept.close()
        self._resources.close()

    def _stop(self, number: str) -> None:
        with contextlib.suppress(OSError), self._guard:
            self._channel.sendall(json.dumps({"stop": number}).encode() + b"\n")

    def _read(self) -> None:
        """Hand on answers until the process ends, or what comes is none: then nothing that it says can be trusted."""
        lost = None
        with self._channel.makefile("rb") as lines, contextlib.suppress(OSError):
            while lost is None and (line := lines.readline(_LONGEST)):
                lost = self._answered(line)
        lost = lost or self._how_it_ended()
        self._kept.close()
        with self._guard:
            self.dead = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result({"lost": lost})

    def _answered(self, line: bytes) -> str | None:
        """Hand on one answer; what is wrong with it, if it is none."""
        try:
            said = _answer(line)
            self._answers[said.get("id", READY)].set_result(said)
        except (ValueError, TypeError, KeyError, InvalidStateError):
            return f"the framework wrote {line[:_SHOWN]!a} to the channel of its template process, which was ended"
        return None

    def _how_it_ended(self) -> str:
        """Why the channel was closed at the other end."""
        try:
            code = self._kept.wait(PATIENCE).code
            code = None if code is None else exit_code(code, self._sandbox)
        except TimedOut:
            return "the template process closed its channel"
        if self._closing:
            return "the template process was ended"
        if code is None:
            return "the process that keeps the template was killed"
        if code < 0:
            return f"the template process was killed by {signal_name(-code)}"
        said = tail(self._log).strip().splitlines()[-1:] or ["it printed nothing"]
        return f"the template process exited with status {code}: {said[0]}"


def _answer(line: bytes) -> dict[str, Any]:
    """What a template process says. Raises ValueError or TypeError for anything else."""
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if said == {READY: True} or (
        isinstance(said, dict) and {*said} == {"id", "lost"} and isinstance(said["lost"], str)
    ):
        return dict(said)
    if not isinstance(said, dict) or {*said} != {"id", "ended", "killed", "timed_out"}:
        raise ValueError("no answer")
    numbers = [*said["killed"], *(number for pair in said["ended"] for number in pair)]
    if not all(type(n) is int for n in numbers) or not all(len(pair) == 2 for pair in said["ended"]):
        raise ValueError("no answer")
    return dict(said)

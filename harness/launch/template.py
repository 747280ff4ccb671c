"""Cells by a template process: imported once, every cell is forked from it (`adapters.inside.template`)."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.contract import Job
from harness.launch.outcome import Ending, Outcome, conclude, tail
from harness.launch.pythonpath import adapters_alone
from harness.launch.variables import child_environment

START_TIMEOUT = 900.0
"""Seconds for importing the framework and for what it compiles at first use."""
SLACK = 10.0
"""Seconds that a cell's end may be reported late; after that the template itself is taken for dead."""
PATIENCE = 3.0
"""Seconds that a template has to end by itself."""

_STARTS = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))
"""Starts at once in this process. One imports for seconds, and may compile on two cores (`MAX_JOBS`): many side by side
starve each other, and none is ready while the first could have run cells."""


class TemplateFailed(Exception):
    """A template process ended, or hung, before it could serve. The message ends with what it printed last."""


class Template:
    """Runs cells of one environment; several threads may. A template that has died is started again for the next.

    `variables` are the environment's own; what the template prints goes to the end of `log`.
    """

    def __init__(self, python: Path, adapter: str, variables: Mapping[str, str], log: Path) -> None:
        self._python = python
        self._adapter = adapter
        self._variables = variables
        self._log = log
        self._guard = threading.Lock()
        self._server: _Server | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Have the framework imported, if it is not. Raises TemplateFailed. Without it the first cell does this."""
        self._serving()

    def run(self, job: Job, timeout: float) -> Outcome:
        """Run a cell for at most `timeout` seconds, the start of a template not counted."""
        trace = Path(job.trace).resolve()
        job = dataclasses.replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
        try:
            server = self._serving()
        except TemplateFailed as failure:
            return conclude(trace, Ending(lost=str(failure)), timeout, 0.0)
        begun = time.monotonic()
        ending = server.ask(job, timeout)
        return conclude(trace, ending, timeout, time.monotonic() - begun)

    @property
    def process(self) -> int | None:
        """Process id of the template, once it was started."""
        return self._server.process if self._server is not None else None

    def close(self) -> None:
        """End the template and every cell that still runs."""
        self._closed = True
        server = self._server
        if server is not None:
            server.close()

    def _serving(self) -> _Server:
        with self._guard:
            if self._closed:
                raise TemplateFailed(f"the template of {self._adapter} is closed")
            if self._server is None or self._server.dead:
                if self._server is not None:
                    self._server.close()
                return self._begin()
            self._server.await_ready()
            return self._server

    def _begin(self) -> _Server:
        with _STARTS:
            if self._closed:
                raise TemplateFailed(f"the template of {self._adapter} is closed")
            self._server = server = _Server(self._python, self._adapter, self._variables, self._log)
            server.await_ready()
            return server


class _Server:
    """One template process, and the thread that reads its answers."""

    def __init__(self, python: Path, adapter: str, variables: Mapping[str, str], log: Path) -> None:
        self.dead = False
        self._adapter = adapter
        self._log = log
        self._numbers = itertools.count()
        self._answers: dict[str, Future[dict[str, Any]]] = {"ready": Future()}
        self._guard = threading.Lock()
        self._resources = contextlib.ExitStack()
        self._path = path = self._resources.enter_context(adapters_alone())
        scratch = path / "scratch"
        scratch.mkdir()
        self._channel, theirs = socket.socketpair()
        with theirs, log.open("ab") as out:
            self._process = subprocess.Popen(
                [python, "-m", "adapters.inside.template", adapter, str(theirs.fileno())],
                cwd=path,
                env={**child_environment(python, variables, path), "TMPDIR": str(scratch)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt from the terminal is the harness's to pass on
            )
        self._reader = threading.Thread(target=self._read, name=f"template-{self._process.pid}", daemon=True)
        self._reader.start()

    @property
    def process(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        """Raises TemplateFailed."""
        ready = self._answers["ready"]
        try:
            answer = ready.result(START_TIMEOUT)
        except Late:
            self.close()
            raise TemplateFailed(f"importing {self._adapter} took more than {START_TIMEOUT:g} s") from None
        if "lost" in answer:
            self.close()
            said = tail(self._log).strip().splitlines()[-1:] or ["it printed nothing"]
            raise TemplateFailed(f"importing {self._adapter} failed: {said[0]}")

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
            "ranks": job.scenario.ranks,
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
        return Ending(tuple((r, c) for r, c in said["ended"]), tuple(said["killed"]), said["timed_out"])

    def close(self) -> None:
        """End the process, and with it its cells; pending questions are answered as lost."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):  # a compiler that it had started
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._resources.close()

    def _stop(self, number: str) -> None:
        with contextlib.suppress(OSError), self._guard:
            self._channel.sendall(json.dumps({"stop": number}).encode() + b"\n")

    def _read(self) -> None:
        with self._channel.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                said = json.loads(line)
                self._answers[said.get("id", "ready")].set_result(said)
        with self._guard:
            self.dead = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result({"lost": "the template process ended while the cell ran"})

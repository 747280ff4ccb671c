"""Cells by torchrun, each from a cold start: what clusters and GPU nodes use, and the check on the template."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.contract import Job
from harness import files
from harness.launch.outcome import Ending, Outcome, conclude
from harness.launch.pythonpath import adapters_alone
from harness.launch.variables import child_environment

PREPARE_TIMEOUT = 900.0
"""Seconds for what a framework compiles once in an environment."""
PATIENCE = 5.0
"""Seconds that a keeper has to end its processes and itself."""

LOG = "log-torchrun.txt"
"""What torchrun printed, in the folder of the trace."""
LOG_BYTES = 2**20
"""How much of its end is searched for the rank that failed first."""

_ROOT_CAUSE = re.compile(r"Root Cause.*?rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+)", re.DOTALL)


def run(python: Path, variables: Mapping[str, str], job: Job, timeout: float) -> Outcome:
    """Run a single cell; see `Torchrun.run`."""
    with Torchrun(python, variables) as launcher:
        return launcher.run(job, timeout)


class Torchrun:
    """Runs cells of one environment; several threads may. `variables` are the environment's own."""

    def __init__(self, python: Path, variables: Mapping[str, str]) -> None:
        self._python = python
        self._variables = variables
        self._preparing = threading.Lock()
        self._running: set[socket.socket] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Nothing is kept warm."""

    def run(self, job: Job, timeout: float) -> Outcome:
        """Run a cell for at most `timeout` seconds, not counting what is compiled once in an environment.

        Exit codes: all ranks when they succeed, else the one that torchrun says failed first.
        """
        trace = Path(job.trace).resolve()
        job = dataclasses.replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
        if not self._prepare(job.adapter, trace / LOG):
            return conclude(trace, Ending(lost=f"preparing {job.adapter} failed; see {LOG}"), timeout, 0.0)
        begun = time.monotonic()
        with adapters_alone() as folder:
            file = folder / "job.json"
            file.write_text(job.dumps())
            launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(job.scenario.ranks)]
            said = self._keep([*launch, "-m", "adapters.inside.rank", str(file)], trace / LOG, timeout, folder)
        return conclude(trace, _ending(job, said), timeout, time.monotonic() - begun)

    def close(self) -> None:
        """End every cell that still runs."""
        self._closed = True
        for channel in list(self._running):
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    def _prepare(self, adapter: str, log: Path) -> bool:
        """What `adapters.inside.prepare` does, unless its stamp says that it was done."""
        extensions = self._variables.get("TORCH_EXTENSIONS_DIR")
        with self._preparing, adapters_alone() as folder:
            if extensions is None or (Path(extensions) / f"prepared-{adapter}").exists():
                return True
            said = self._keep(["adapters.inside.prepare", adapter], log, PREPARE_TIMEOUT, folder)
            return said is not None and [code for _, code in said["ended"]] == [0]

    def _keep(self, module: Sequence[str], log: Path, timeout: float, folder: Path) -> dict[str, Any] | None:
        """Run a module, with its arguments, in a folder that `adapters_alone` made.

        It runs below `adapters.inside.keeper`, which ends all of it when our end of its socket is closed. None if that
        fails.
        """
        python, scratch = str(self._python), folder / "scratch"
        scratch.mkdir()
        ours, theirs = socket.socketpair()
        with ours, theirs, log.open("ab") as out:
            self._running.add(ours)
            keeper = subprocess.Popen(
                [python, "-m", "adapters.inside.keeper", str(theirs.fileno()), str(timeout), python, "-m", *module],
                cwd=folder,
                env={**child_environment(self._python, self._variables, folder), "TMPDIR": str(scratch)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt from the terminal is ours to pass on
            )
            theirs.close()
            try:
                if self._closed:
                    return None
                return _answer(ours, timeout + PATIENCE)
            finally:
                self._running.discard(ours)
                ours.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    keeper.wait(PATIENCE)
                keeper.kill()
                keeper.wait()


def _answer(channel: socket.socket, timeout: float) -> dict[str, Any] | None:
    channel.settimeout(timeout)
    with contextlib.suppress(OSError), channel.makefile("rb") as lines:
        said: dict[str, Any] = json.loads(lines.readline() or b"null")
        return said
    return None


def _ending(job: Job, said: Mapping[str, Any] | None) -> Ending:
    """How the ranks ended, by how torchrun ended."""
    if said is None:
        return Ending(lost="the process that keeps torchrun has ended")
    if said["timed_out"]:
        return Ending(killed=tuple(range(job.scenario.ranks)), timed_out=True)
    code: int = said["ended"][0][1]
    if code == 0:
        return Ending(tuple((rank, 0) for rank in range(job.scenario.ranks)))
    found = _ROOT_CAUSE.search(files.tail(Path(job.trace) / LOG, LOG_BYTES).decode(errors="replace"))
    return Ending(((int(found[1]), int(found[2])),)) if found else Ending(lost=f"torchrun exited with status {code}")

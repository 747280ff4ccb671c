"""Cells by torchrun, each from a cold start: what clusters and GPU nodes use, and the check on the template."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.contract import Job
from harness.launch.outcome import Ending, Outcome, conclude, left_early, signal_name, tail
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import SCRATCH, Sandbox, exit_code, start_in
from harness.processes import PATIENCE, Ended, Kept, TimedOut

PREPARE_TIMEOUT = 900.0
"""Seconds for what a framework compiles once in an environment."""
LOG = "log-torchrun.txt"
"""What torchrun printed, in the folder of the trace."""

REPORT = 1 << 16
"""Bytes at the end of that in which torchrun tells of the ranks that failed."""

_FAILED = re.compile(r"^  rank +: (\d+) .*\n  exitcode +: (-?\d+) ", re.MULTILINE)


def run(python: Path, variables: Mapping[str, str], job: Job, timeout: float) -> Outcome:
    """Run a single cell; see `Torchrun.run`."""
    with Torchrun(python, variables) as launcher:
        return launcher.run(job, timeout)


class Torchrun:
    """Runs cells of one environment; several threads may. `variables` are the environment's own."""

    def __init__(self, python: Path, variables: Mapping[str, str], sandbox: Sandbox | None = None) -> None:
        self._python = python
        self._variables = variables
        self._sandbox = sandbox
        self._preparing = threading.Lock()
        self._running: set[Kept] = set()
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
        job = replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
        if not self._prepare(job.adapter, trace / LOG):
            return conclude(trace, Ending(lost=f"preparing {job.adapter} failed; see {LOG}"), timeout, 0.0)
        begun = time.monotonic()
        with adapters_alone() as folder:
            file = folder / "job.json"
            file.write_text(job.dumps())
            launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(job.scenario.window.ranks)]
            ended = self._keep([*launch, "-m", "adapters.inside.rank", str(file)], trace / LOG, timeout, folder)
            ending = _ending(job, self._translated(ended), folder / SCRATCH)
        return conclude(trace, ending, timeout, time.monotonic() - begun)

    def close(self) -> None:
        """End every cell that still runs."""
        self._closed = True
        for kept in list(self._running):
            kept.close()

    def _prepare(self, adapter: str, log: Path) -> bool:
        """What `adapters.inside.prepare` does, unless its stamp says that it was done."""
        extensions = self._variables.get("TORCH_EXTENSIONS_DIR")
        with self._preparing, adapters_alone() as folder:
            if extensions is None or (Path(extensions) / f"prepared-{adapter}").exists():
                return True
            return self._keep(["adapters.inside.prepare", adapter], log, PREPARE_TIMEOUT, folder).code == 0

    def _translated(self, ended: Ended) -> Ended:
        return ended if ended.code is None else replace(ended, code=exit_code(ended.code, self._sandbox))

    def _keep(self, module: Sequence[str], log: Path, timeout: float, folder: Path) -> Ended:
        """Run a module, with its arguments, in a folder that `adapters_alone` made, and leave nothing of it behind."""
        (folder / SCRATCH).mkdir()
        start = start_in(folder, [str(self._python), "-m", *module], self._python, self._variables, self._sandbox)
        with log.open("ab") as out:
            kept = Kept(
                start.command, start.environment, timeout=timeout, folder=folder, cwd=folder, stdout=out, stderr=out
            )
        self._running.add(kept)
        try:
            return Ended(None) if self._closed else kept.wait(timeout + PATIENCE)
        except TimedOut:
            return Ended(None)
        finally:
            self._running.discard(kept)
            kept.close()


def _ending(job: Job, ended: Ended, scratch: Path) -> Ending:
    """How the ranks ended, by how torchrun ended."""
    if ended.timed_out:
        return Ending(killed=tuple(range(job.scenario.window.ranks)), timed_out=True)
    if ended.code is None:
        return Ending(lost="the process that keeps torchrun was killed")
    if ended.code < 0:
        return Ending(lost=f"torchrun was killed by {signal_name(-ended.code)}")
    if ended.code == 0:
        ranks = tuple((rank, 0) for rank in range(job.scenario.window.ranks))
        return Ending(ranks, left=left_early(ranks, scratch))
    found = _FAILED.findall(tail(Path(job.trace) / LOG, REPORT))
    if not found:
        return Ending(unnamed=f"torchrun exited with status {ended.code}")
    *others, root = ((int(rank), int(code)) for rank, code in found)  # the root cause is told last
    # It ends the others by SIGTERM, and may tell of that. What fails within the same moment is told in any order.
    return Ending((root, *(other for other in others if other[1] != -signal.SIGTERM)))

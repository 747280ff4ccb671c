"""Cells by torchrun, each from a cold start: what clusters and GPU nodes use, and the check on the template."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from adapters.contract import Job
from harness import temporary
from harness.launch.multinode import spread
from harness.launch.multinode.machines import Machines
from harness.launch.multinode.share import ALONE, Share
from harness.launch.outcome import Ending, Outcome, conclude, left_early, signal_name, tail
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import SCRATCH, Sandbox, exit_code, start_in
from harness.processes import PATIENCE, Ended, Kept, TimedOut

PREPARE_TIMEOUT = 900.0
"""Seconds for what a framework compiles once in an environment."""
LOG = ALONE.log

REPORT = 1 << 16
"""Bytes at the end of that in which torchrun tells of the ranks that failed."""

R = TypeVar("R", Kept, spread.Spread)

_FAILED = re.compile(r"^  rank +: (\d+) .*\n  exitcode +: (-?\d+) ", re.MULTILINE)


def run(python: Path, variables: Mapping[str, str], job: Job, timeout: float) -> Outcome:
    """Run a single cell; see `Torchrun.run`."""
    with Torchrun(python, variables) as launcher:
        return launcher.run(job, timeout)


class Torchrun:
    """Runs cells of one environment; several threads may. `variables` are the environment's own. With `machines` the
    ranks of each cell are spread over these."""

    def __init__(
        self,
        python: Path,
        variables: Mapping[str, str],
        sandbox: Sandbox | None = None,
        machines: Machines | None = None,
    ) -> None:
        self._python = python
        self._variables = variables
        self._sandbox = sandbox
        self._machines = machines
        self._preparing = threading.Lock()
        self._running: set[Kept | spread.Spread] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Nothing is kept warm; see that every machine is reached. Raises Lost."""
        if self._machines is not None:
            with (
                temporary.folder("reach") as folder,
                self._among_running(spread.Spread(self._machines, folder)) as all_,
            ):
                all_.see([self._python])

    def run(self, job: Job, timeout: float) -> Outcome:
        """Run a cell for at most `timeout` seconds, not counting what is compiled once in an environment.

        Exit codes: all ranks when they succeed, else the one that torchrun says failed first.
        """
        trace = Path(job.trace).resolve()
        job = replace(job, trace=str(trace), checkpoint=str(Path(job.checkpoint).resolve()))
        if not self._prepare(job.module, trace / LOG):
            return conclude(trace, Ending(lost=f"preparing {job.module} failed; see {LOG}"), timeout, 0.0)
        begun = time.monotonic()
        ending = self.share(job, ALONE, timeout) if self._machines is None else self._spread(job, timeout)
        return conclude(trace, ending, timeout, time.monotonic() - begun)

    def share(self, job: Job, share: Share, timeout: float) -> Ending:
        """Run this machine's share of a cell's ranks. The job's paths are whole."""
        with adapters_alone() as folder:
            file = folder / "job.json"
            file.write_text(job.dumps())
            launch = ["torch.distributed.run", *share.options(job.scenario.window.ranks)]
            log = Path(job.trace) / share.log
            ended = self._keep([*launch, "-m", "adapters.inside.rank", str(file)], log, timeout, folder)
            return _ending(job, share, self._translated(ended), folder / SCRATCH)

    def _spread(self, job: Job, timeout: float) -> Ending:
        assert self._machines is not None
        try:
            with self._among_running(spread.Spread(self._machines, Path(job.trace))) as every:
                return every.run(self._python, self._variables, job, timeout)
        except spread.Lost as lost:
            return Ending(lost=str(lost))

    def close(self) -> None:
        """End every cell that still runs."""
        self._closed = True
        for running in list(self._running):
            running.close()

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
        with self._among_running(kept):
            try:
                return Ended(None) if self._closed else kept.wait(timeout + PATIENCE)
            except TimedOut:
                return Ended(None)

    @contextlib.contextmanager
    def _among_running(self, running: R) -> Iterator[R]:
        """Closed at the end, and by `close`."""
        self._running.add(running)
        try:
            if self._closed:  # before it could see this one
                running.close()
            yield running
        finally:
            self._running.discard(running)
            running.close()


def _ending(job: Job, share: Share, ended: Ended, scratch: Path) -> Ending:
    """How the ranks of a share ended, by how torchrun ended."""
    here = share.ranks(job.scenario.window.ranks)
    if ended.timed_out:
        return Ending(killed=tuple(here), timed_out=True)
    if ended.code is None:
        return Ending(lost="the process that keeps torchrun was killed")
    if ended.code < 0:
        return Ending(lost=f"torchrun was killed by {signal_name(-ended.code)}")
    if ended.code == 0:
        ranks = tuple((rank, 0) for rank in here)
        return Ending(ranks, left=left_early(ranks, scratch))
    found = _FAILED.findall(tail(Path(job.trace) / share.log, REPORT))
    if not found:
        return Ending(unnamed=f"torchrun exited with status {ended.code}")
    *others, root = ((int(rank), int(code)) for rank, code in found)  # the root cause is told last
    # It ends the others by SIGTERM, and may tell of that. What fails within the same moment is told in any order.
    return Ending((root, *(other for other in others if other[1] != -signal.SIGTERM)))

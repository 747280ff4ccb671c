"""What a job on a cluster runs: it starts one environment's launcher on its node and takes cells until it is to end."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from harness.launch.built import Built
from harness.launch.cluster import slurm
from harness.launch.cluster.spool import Spool
from harness.launch.local import Local
from harness.launch.multinode.machines import BadMachines
from harness.launch.multinode.station import Lost
from harness.launch.template import Template, TemplateFailed
from harness.launch.torchrun import Torchrun

POLL = 0.3
"""Seconds between two looks into the spool."""
SILENCE = 75.0
"""Seconds without a word of the run after which it is taken for dead. NFS may show a change a minute late."""


def serve(root: Path, local: Local, at_once: int) -> None:
    """Take cells of the spool at `root`, several at once, until the run says so, is silent, or Slurm wants an end."""
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        return None  # Slurm has started it again by itself; what it had then is run again by another job
    name = os.environ["SLURM_JOB_ID"]
    log = local.log.with_name(f"{local.log.stem}-job-{name}{local.log.suffix}")
    spool = Spool(root)
    try:
        machines = local.machines and replace(local.machines, every=slurm.machines())
    except slurm.Unreachable as failure:
        return spool.begin(name, str(failure))
    worker = Worker(spool, name, replace(local, log=log, machines=machines).runner())
    signal.signal(signal.SIGTERM, lambda *_: worker.end())
    signal.signal(signal.SIGUSR2, lambda *_: worker.take_no_more())  # submitit asks for it, before the time is over
    return worker.serve(at_once)


class Worker:
    """One job: the launcher on its node, and the threads that take cells."""

    def __init__(self, spool: Spool, name: str, runner: Template | Torchrun | Built) -> None:
        self._spool = spool
        self._name = name
        self._runner = runner
        self._ending = threading.Event()
        self._full = threading.Event()

    def end(self) -> None:
        """End now; what runs is not answered."""
        self._ending.set()

    def take_no_more(self) -> None:
        """End once the cells that run have ended."""
        self._full.set()

    def serve(self, at_once: int) -> None:
        """Raises what a thread raised."""
        pool = ThreadPoolExecutor(at_once + 1)
        try:
            threads = [pool.submit(self._start_and_take, at_once, pool)]
            self._watch(threads)
            for thread in threads:
                if thread.done():
                    thread.result()
        finally:
            self._ending.set()
            self._runner.close()
            pool.shutdown()

    def _watch(self, threads: list[Future[None]]) -> None:
        """Until all have ended, one has failed, or there is a reason to end."""
        pulse, heard = self._spool.pulse, time.monotonic()
        while not self._ending.wait(POLL) and not all(thread.done() for thread in threads):
            now = self._spool.pulse
            if now != pulse:
                pulse, heard = now, time.monotonic()
            if now is None or time.monotonic() - heard > SILENCE:
                self.end()

    def _start_and_take(self, at_once: int, pool: ThreadPoolExecutor) -> None:
        """Start the launcher, then take cells, in this thread and in others."""
        try:
            self._runner.start()
        except (TemplateFailed, Lost, BadMachines) as failure:
            if not self._ending.is_set():
                self._spool.begin(self._name, str(failure))
            return
        self._spool.begin(self._name, None)
        others = [pool.submit(self._take) for _ in range(at_once - 1)]
        self._take()
        for other in others:
            other.result()

    def _take(self) -> None:
        try:
            self._take_cells()
        except BaseException:
            self.end()  # the others with it: what they have is run again by another job
            raise

    def _take_cells(self) -> None:
        while not (self._ending.is_set() or self._full.is_set()):
            ticket = self._spool.take(self._name)
            if ticket is None:
                self._ending.wait(POLL)
                continue
            outcome = self._runner.run(ticket.job, ticket.timeout)
            if not self._ending.is_set():  # or it ended because of that
                self._spool.answer(ticket, outcome)

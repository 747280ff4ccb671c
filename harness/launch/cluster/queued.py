"""Cells by jobs on a cluster: each has an environment's launcher on its node (`worker`), and takes cells of a spool.

A cell whose job has ended without an answer is put back once, for another job; what an earlier attempt still says then
does not count, and its trace is another one. A run that dies leaves jobs that end by themselves.
"""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapters.contract import Job
from harness.launch.cluster import worker
from harness.launch.cluster.slurm import Allocation, Jobs, Refused, Unreachable, alive
from harness.launch.cluster.spool import Spool, Ticket
from harness.launch.local import Local
from harness.launch.outcome import Ending, Outcome, conclude, tail

POLL = 0.5
"""Seconds between two looks into the spool."""
LOOK = 5.0
"""Seconds between two questions to Slurm, and between two signs of life."""
ATTEMPTS = 2
"""At one cell, and at a job that begins."""
LEAVING = 60.0
"""Seconds that jobs of an earlier run in this folder may take to end."""


class ClusterFailed(Exception):
    """No job can take cells; the message is one line."""


@dataclass
class _Cell:
    """A cell that has no answer yet."""

    ticket: Ticket
    trace: Path
    """Where its trace belongs, whatever attempt makes it."""
    answer: Future[Outcome] = field(default_factory=Future)
    lost: list[str] = field(default_factory=list)
    """How the jobs ended that had it."""

    def try_again(self) -> None:
        """Another attempt, whose trace the earlier one knows nothing of."""
        trace = self.trace.absolute().with_name(f"{self.trace.name}.again")
        shutil.rmtree(trace, ignore_errors=True)
        trace.mkdir()
        job = replace(self.ticket.job, trace=str(trace))
        self.ticket = replace(self.ticket, attempt=self.ticket.attempt + 1, job=job)


class Queued:
    """Runs cells of one environment; several threads may. `root` is the spool's folder, `jobs` the most of them."""

    def __init__(
        self, local: Local, allocation: Allocation, root: Path, jobs: int, at_once: int, note: Callable[[str], None]
    ) -> None:
        self._local = local
        self._allocation = allocation
        self._most = jobs
        self._at_once = at_once
        self._note = note
        self._spool = Spool(root)
        self._jobs = Jobs(f"lockstep-{secrets.token_hex(4)}")
        self._cells: dict[str, _Cell] = {}
        self._numbers = itertools.count(1)
        self._ready = Future[None]()
        self._ended: set[str] = set()
        self._unnamed: set[str] = set()
        self._fruitless = 0
        """Jobs in a row that have ended without having taken a cell."""
        self._failed: str | None = None
        self._said: str | None = None
        self._closing = threading.Event()
        self._guard = threading.Lock()

    def start(self) -> None:
        """Wait until a job takes cells, however long it waits for a node. Raises ClusterFailed and OSError."""
        self._end_earlier()
        self._spool.make(self._jobs.name)
        threading.Thread(target=self._watch, name=self._jobs.name, daemon=True).start()
        self._ready.result()

    def run(self, job: Job, timeout: float) -> Outcome:
        """Have a job run a cell, for at most `timeout` seconds there. Raises ClusterFailed where this is closed."""
        trace = Path(job.trace)
        job = replace(job, trace=str(trace.absolute()), checkpoint=str(Path(job.checkpoint).absolute()))
        cell = _Cell(Ticket(next(self._numbers), 1, job, timeout), trace)
        with self._guard:
            if self._closing.is_set():
                raise ClusterFailed("closed")
            if self._failed is not None:
                return _lost(cell, self._failed)
            self._cells[cell.ticket.file] = cell
        self._spool.put(cell.ticket)
        return cell.answer.result()

    def close(self) -> None:
        """End its jobs: those that wait and, where cells are still out, those that run. Others end by themselves."""
        self._closing.set()
        with self._guard:
            out = list(self._cells.values())
            self._cells.clear()
        if self._spool.root.exists():
            self._spool.stop()
            self._jobs.cancel(waiting=not out and self._ready.done())
        for cell in out:
            cell.answer.set_exception(ClusterFailed("closed"))
        self._get_ready(ClusterFailed("closed"))

    def _get_ready(self, failure: ClusterFailed | None) -> None:
        """Let `start` end, unless it has."""
        with self._guard:
            if self._ready.done():
                return
            if failure is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(failure)

    def _end_earlier(self) -> None:
        """End the jobs of an earlier run in this folder, which may have been killed: their cells are run again."""
        name = self._spool.name
        if name is None:
            return
        earlier, deadline = Jobs(name), time.monotonic() + LEAVING
        earlier.cancel()
        while (states := earlier.states()) is None or alive(states):
            if time.monotonic() > deadline:
                raise ClusterFailed(f"jobs of an earlier run in this folder do not end; scancel --name={name}")
            time.sleep(POLL)

    # ---- in the thread that watches

    def _watch(self) -> None:
        looked = -LOOK
        try:
            for count in itertools.count(1):
                self._collect()
                if time.monotonic() - looked >= LOOK:
                    self._spool.beat(count)
                    self._look()
                    looked = time.monotonic()
                if self._closing.wait(POLL):
                    break
        except Exception as error:  # noqa: BLE001  this thread alone ends the others' wait: all are told
            self._give_up(f"{type(error).__name__}: {error}")
        if self._closing.is_set():
            self._jobs.cancel(waiting=True)  # one may have been submitted meanwhile

    def _collect(self) -> None:
        """Hand on what the jobs have said."""
        if not self._ready.done() and None in self._spool.workers().values():
            self._get_ready(None)
        for name in self._spool.answers():
            with self._guard:
                cell = self._cells.pop(name, None)
            if cell is None:
                continue  # of an earlier attempt, or handed on before
            try:
                cell.answer.set_result(self._answered(cell))
            except (OSError, ValueError, TypeError, KeyError) as error:
                cell.answer.set_exception(error)

    def _answered(self, cell: _Cell) -> Outcome:
        outcome = self._spool.answered(cell.ticket)
        if cell.ticket.attempt > 1:
            shutil.rmtree(cell.trace, ignore_errors=True)
            Path(cell.ticket.job.trace).rename(cell.trace)
        return outcome

    def _look(self) -> None:
        """Ask Slurm, and do what follows from its answer. Without one nothing is known, and nothing is done."""
        states = self._jobs.states()
        if states is None:
            return self._tell("Slurm does not answer")
        running = alive(states)
        self._collect()  # what was answered before its job ended
        taken = self._spool.taken()
        for ended in {*states} - running - self._ended:
            self._ended.add(ended)
            self._fruitless = 0 if ended in taken.values() else self._fruitless + 1
        gone = self._gone({*taken.values()} - running, states)
        self._put_back({name: holder for name, holder in taken.items() if holder in gone}, states)
        begun = self._spool.workers()
        if begun and not self._ready.done() and not running - {*begun}:
            self._give_up(next(filter(None, begun.values())))
        elif self._failed is None:
            self._fill(states, running)
        return None

    def _gone(self, holders: set[str], states: Mapping[str, str]) -> set[str]:
        """Those of the holders that have ended. One that Slurm did not name may have begun since: it is asked again."""
        unnamed = holders - {*states}
        gone = holders & ({*states} | self._unnamed)
        self._unnamed = unnamed
        return gone

    def _put_back(self, left: Mapping[str, str], states: Mapping[str, str]) -> None:
        """What ended jobs have left unanswered: put it into the spool again, or give it up."""
        for name, holder in left.items():
            with self._guard:
                cell = self._cells.get(name)
                if cell is None:
                    continue
                cell.lost.append(f"job {holder} ({states.get(holder, 'gone')})")
                if again := cell.ticket.attempt < ATTEMPTS:
                    cell.try_again()
                    self._cells[cell.ticket.file] = cell
                del self._cells[name]
            if again:
                self._spool.put(cell.ticket)
            else:
                cell.answer.set_result(_lost(cell, f"{' and '.join(cell.lost)} ended while it ran there"))

    def _fill(self, states: Mapping[str, str], running: set[str]) -> None:
        """Submit jobs in the place of those that have ended, as long as there are cells for them."""
        with self._guard:
            wanted = min(self._most, len(self._cells)) if self._ready.done() else self._most
        if wanted and self._fruitless >= ATTEMPTS * self._most:
            return None if running else self._give_up(self._how_they_ended(states))
        try:
            for _ in range(wanted - len(running)):
                self._submit()
        except Unreachable as error:
            self._tell(str(error))
        except Refused as error:
            if not running:
                self._give_up(str(error))
        else:
            self._tell(_told(states))
        return None

    def _submit(self) -> None:
        if not self._closing.is_set():
            work = (worker.serve, self._spool.root.absolute(), self._local, self._at_once)
            self._jobs.submit(self._spool.logs, self._allocation, self._at_once, *work)

    def _how_they_ended(self, states: Mapping[str, str]) -> str:
        last = max(self._ended, key=int)
        said = tail(self._spool.logs / f"{last}_0_log.out").strip().splitlines()[-1:] or ["it printed nothing"]
        return f"jobs end without a cell, the last one, {last}, as {states.get(last, 'gone')}: {said[0]}"

    def _give_up(self, reason: str) -> None:
        with self._guard:
            self._failed = reason
            out = list(self._cells.values())
            self._cells.clear()
        for cell in out:
            cell.answer.set_result(_lost(cell, reason))
        self._get_ready(ClusterFailed(reason))

    def _tell(self, text: str) -> None:
        if text and text != self._said and not self._ready.done():
            self._note(text)
            self._said = text


def _lost(cell: _Cell, reason: str) -> Outcome:
    return conclude(cell.trace, Ending(lost=reason), cell.ticket.timeout, 0.0)


def _told(states: Mapping[str, str]) -> str:
    return "; ".join(f"job {number}: {state.lower()}" for number, state in sorted(states.items()))

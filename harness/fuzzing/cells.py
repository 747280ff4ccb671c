"""Cells of one release, one after the other from one warm template: run, judged, and swept away."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.contract import Job, Scenario
from adapters.expressed import refused
from harness.environments import pins
from harness.environments.environment import Environment
from harness.environments.request import Request
from harness.fuzzing import axes
from harness.fuzzing.symptoms import Symptom, symptoms
from harness.history.identity import identity
from harness.launch.asking import Ask, asking
from harness.session.cell import crash_message, judged_record
from harness.session.folder import inside
from harness.session.parts import Observer, Parts, Places, Ran, Runner
from harness.session.plan import release
from harness.verdicts import verdict
from harness.verdicts.findings import Finding
from harness.verdicts.verdict import CellRecord

Planted = tuple[Scenario, str | None]
"""A scenario, and the fault that is planted in it; None for none."""


@dataclass(frozen=True)
class Cell:
    """What came out of one scenario."""

    row: axes.Row
    record: CellRecord
    symptoms: tuple[Symptom, ...] = ()


class Cells:
    """Runs scenarios on one release; a context manager, which ends every process that it began.

    `measure` may be called from several threads: so many cells as `jobs` run at once, and one is judged beside them.
    """

    def __init__(
        self, request: Request, parts: Parts, folder: Path, observer: Observer, jobs: int, timeout: float,
        fault: str | None = None, asked: Callable[[Environment], AbstractContextManager[Ask]] = asking,
    ) -> None:  # fmt: skip
        self.request = request
        self._parts = parts
        self._folder = folder
        self._observer = observer
        self._timeout = timeout
        self._fault = fault
        self._asked = asked
        self._pool = ThreadPoolExecutor(jobs + 1, "cell")
        self._most = jobs + 1
        self._running = threading.Semaphore(jobs)
        self._judging = threading.Lock()
        self._asking = threading.Lock()
        self._numbers = count(1)
        self._resources = ExitStack()
        self._said: dict[str, str | None] = {}
        self._runner: Runner | None = None
        self._ask: Ask | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Build the environment and import the framework. Raises BuildFailed, BadRequest, and what a runner raises."""
        self.environment = self._parts.ensure(self.request, lambda text: self._observer.note(self.request, text))
        shutil.rmtree(self._folder, ignore_errors=True)
        places = Places(*(self._folder / name for name in ("log.txt", "traces", "checkpoints", "spool")))
        for place in (places.traces, places.checkpoints):
            place.mkdir(parents=True)
        self._runner = self._parts.launch(
            self.environment, places, lambda text: self._observer.note(self.request, text)
        )
        self._observer.note(self.request, "starting")
        self._runner.start()

    def close(self) -> None:
        """End all processes; a second call does nothing."""
        if self._runner is not None:
            self._runner.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._resources.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def version(self) -> str:
        """As it stands in a verdict."""
        return release(self.request, self.environment.version)

    @property
    def packages(self) -> Mapping[str, str]:
        """Versions of all that is installed, the framework's own among them."""
        own = {self.environment.framework: self.environment.version}
        return {pins.name(line): pins.version(line) or "" for line in self.environment.lock} | own

    # ---- what cannot be run

    def refuse(self, row: axes.Row) -> str | None:
        """Why the release cannot have these values; None if it can: by the scenario's own rules, then by the table of
        what adapters honour, then by the adapter. May be called from several threads."""
        key = axes.key(row)
        if key not in self._said:
            self._said[key] = self._refusal(row)
        return self._said[key]

    def refuse_by_table(self, row: axes.Row) -> str | None:
        """The same without asking the adapter; one value that needs another one beside it is not refused."""
        try:
            return refused(axes.made(row), self.request.framework)
        except ValueError:
            return None

    def _refusal(self, row: axes.Row) -> str | None:
        try:
            scenario = axes.made(row)
        except ValueError as error:
            return str(error)
        if (why := refused(scenario, self.request.framework)) is not None:
            return why
        with self._asking:
            self._ask = self._ask or self._resources.enter_context(self._asked(self.environment))
            return self._ask(scenario)

    # ---- what is run

    def stream(self, rows: Iterable[axes.Row]) -> Iterator[Cell]:
        """Measure rows, some at once, in their order; what comes is asked for when there is room for it."""
        return self._in_order(partial(self.measure, row) for row in rows)

    def planted(self, wanted: Iterable[Planted]) -> Iterator[Cell]:
        """The same of scenarios, each with a fault of its own or none."""
        return self._in_order(partial(self._cell, {}, scenario, fault) for scenario, fault in wanted)

    def _in_order(self, coming: Iterator[Callable[[], Cell]]) -> Iterator[Cell]:
        pending: deque[Future[Cell]] = deque()
        while True:
            while len(pending) < self._most and (measure := next(coming, None)) is not None:
                pending.append(self._pool.submit(measure))
            if not pending:
                return
            yield _result(pending.popleft())

    def measure(self, row: axes.Row) -> Cell:
        """Run and judge one scenario, from fresh processes. Raises ValueError for values that do not fit together."""
        return self._cell(row, axes.made(row), self._fault)

    def _cell(self, row: axes.Row, scenario: Scenario, fault: str | None) -> Cell:
        record = CellRecord(
            framework=self.request.framework,
            version=self.version,
            scenario=scenario.name,
            verdict="unknown",
            environment=self.environment.lock_hash,
            scenario_hash=scenario.hash,
            harness=identity(),
        )
        number = next(self._numbers)
        trace, checkpoint = (self._folder / kind / f"{number:06d}" for kind in ("traces", "checkpoints"))
        try:
            cell = self._measured(row, record, self._job(scenario, fault, checkpoint, trace), trace)
        except Exception as error:  # noqa: BLE001  one cell's fault leaves it unknown, and the others go on
            said = str(error).splitlines()
            reason = f"the harness failed: {type(error).__name__}: {said[0] if said else ''}"
            cell = Cell(row, record.model_copy(update={"reason": reason}))
        finally:
            shutil.rmtree(trace, ignore_errors=True)
            shutil.rmtree(checkpoint, ignore_errors=True)
        self._observer.recorded(cell.record)
        return cell

    def _job(self, scenario: Scenario, fault: str | None, checkpoint: Path, trace: Path) -> Job:
        environment: Environment = self.environment
        return Job(
            adapter=environment.adapter,
            framework=environment.framework,
            version=environment.version,
            scenario=scenario,
            checkpoint=str(checkpoint.absolute()),
            trace=str(trace.absolute()),
            fault=fault,
        )

    def _measured(self, row: axes.Row, record: CellRecord, job: Job, trace: Path) -> Cell:
        assert self._runner is not None
        with self._running:
            self._observer.started(record.name)
            self._parts.checkpoint(job.scenario, Path(job.checkpoint))
            trace.mkdir()
            ran = self._runner.run(job, self._timeout)
        if ran.status != "finished":
            return Cell(row, record.model_copy(update=_not_judged(ran)))
        with self._judging:
            judged = self._parts.judge(inside(self._folder, trace))  # where the release could put a link
        found = judged_record(record.model_copy(update={"seconds": ran.seconds}), judged)
        return Cell(row, found, symptoms(judged) if found.verdict == "fail" else ())


def _not_judged(ran: Ran) -> dict[str, Any]:
    if ran.status == "unsupported":
        return {"verdict": "unsupported", "reason": ran.reason, "seconds": ran.seconds}
    finding = Finding("run.crashed", crash_message(ran))
    findings = [verdict.record_finding(finding)]
    return {"reason": finding.message, "findings": findings, "seconds": ran.seconds}


def _result(future: Future[Cell]) -> Cell:
    """Waits so that a signal which another thread was given is handled."""
    while True:
        try:
            return future.result(0.5)
        except TimeoutError:
            if future.done():
                return future.result()

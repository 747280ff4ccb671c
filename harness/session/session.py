"""Running a plan: every framework's environment in a thread of its own, cells in a pool, verdicts as they come.

What builds, launches and judges is handed in (`Parts`), and whoever wants to watch hands in an `Observer`.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path

from adapters.contract import Job, Scenario
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.request import BadRequest, Request
from harness.launch.outcome import tail
from harness.session import experiment
from harness.session.cell import PlannedCell, crash_message, judged_record
from harness.session.folder import BadFolder, RunFolder, inside
from harness.session.parts import Observer, Parts, Places, Ran, Runner
from harness.session.plan import Choice, Plan, release
from harness.verdicts import verdict
from harness.verdicts.findings import Finding
from harness.verdicts.verdict import CellRecord, Verdict

TAIL_LINES, TAIL_BYTES = 15, 64 * 1024

PATIENCE = 5.0
"""Seconds that an interrupted run waits for all that it has told to end."""


class Session:
    """One run of a plan into a folder."""

    def __init__(self, plan: Plan, folder: RunFolder, parts: Parts, observer: Observer) -> None:
        self._plan = plan
        self._folder = folder
        self._parts = parts
        self._observer = observer
        self._cells = ThreadPoolExecutor(plan.handed_out, "cell")
        self._judges = ThreadPoolExecutor(1, "judge")
        self._judging: list[Future[None]] = []
        self._warm = threading.Semaphore(plan.started)
        self._runners: list[Runner] = []
        self._releases: dict[tuple[str, str], int] = {}
        self._failures: dict[int, str] = {}
        self._writing = threading.Semaphore(plan.jobs)
        self._checkpoints: dict[str, threading.Lock] = {c.label: threading.Lock() for c in plan.choices}
        self._guard = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> Verdict:
        """Run every cell. On KeyboardInterrupt all processes are ended, and what was recorded stays, not complete."""
        # Events, because a join that a signal interrupts takes its thread for ended (CPython before 3.13).
        served = [threading.Event() for _ in self._plan.requests]
        try:
            for i, request in enumerate(self._plan.requests):
                # Daemons: a build that does not end at once must not keep an interrupted run alive.
                threading.Thread(target=self._serve_environment, args=(i, request, served[i]), daemon=True).start()
            for event in served:
                while not event.wait(0.5):  # a signal that another thread was given is handled between two of these
                    pass
            self._judges.shutdown(wait=True)
        except KeyboardInterrupt:
            self._end_everything(served)
            raise
        finally:
            self._cells.shutdown(wait=False, cancel_futures=True)
        self._record_missing()
        return self._folder.write(complete=True, views=self._parts.views(self._folder.cells, self._folder.path))

    def _end_everything(self, served: Sequence[threading.Event]) -> None:
        self._stopping.set()
        self._cells.shutdown(wait=False, cancel_futures=True)
        self._parts.stop()
        with self._guard:
            runners = list(self._runners)
        for runner in runners:
            runner.close()
        deadline = time.monotonic() + PATIENCE
        for event in served:
            event.wait(max(0.0, deadline - time.monotonic()))
        self._judges.shutdown(wait=False, cancel_futures=True)
        wait(self._judging, max(0.0, deadline - time.monotonic()))

    def _record_missing(self) -> None:
        """Whatever happened to a cell that has no verdict now, nothing was proved of it."""
        labels = {number: label for (_, label), number in self._releases.items()}
        for number, request in enumerate(self._plan.requests):
            version = labels.get(number, request.version or "unknown")
            for cell in self._planned_cells(number, request, version):
                if not self._folder.has(cell.place):
                    reason = self._failures.get(number, "no verdict was reached")
                    self._record_cell(cell, cell.record("unknown", reason=reason))

    # ---- one environment

    def _serve_environment(self, number: int, request: Request, served: threading.Event) -> None:
        """Build one environment and run its cells. Nothing that goes wrong here touches the other ones."""
        try:
            environment = self._build_environment(number, request)
            if environment is not None:
                self._run_due_cells(number, request, environment)
        except Exception as error:  # noqa: BLE001  its cells are told of in `_record_missing`
            self._failures[number] = f"the harness failed: {_said(error)}"
        finally:
            served.set()

    def _build_environment(self, number: int, request: Request) -> Environment | None:
        """The environment; None, with its cells recorded as unknown, if it cannot be had."""
        try:
            return self._parts.ensure(request, lambda text: self._observer.note(request, text))
        except BuildFailed as error:
            self._record_broken(number, request, str(error), error.tail)
        except BadRequest as error:
            self._record_broken(number, request, str(error), "")
        except Exception as error:  # noqa: BLE001  a fault in building one must not end the others
            self._record_broken(number, request, f"building failed: {_said(error)}", "")
        return None

    def _run_due_cells(self, number: int, request: Request, environment: Environment) -> None:
        cells = self._cells_due(number, request, environment)
        with self._warm:
            if cells and not self._stopping.is_set():
                self._start_and_run(number, request, environment, cells)

    def _start_and_run(
        self, number: int, request: Request, environment: Environment, cells: Sequence[PlannedCell]
    ) -> None:
        """Start one environment's runner, and let it run its cells to their end."""
        runner = self._new_runner(request, environment, cells[0].version)
        try:
            self._observer.note(request, "starting")
            runner.start()
        except Exception as error:  # noqa: BLE001  a framework that does not start must not end the others
            runner.close()
            tail = _tail(self._folder.log(request.framework, cells[0].version))
            self._record_broken(number, request, f"{request} does not start: {_said(error)}", tail, cells)
            return
        try:
            running = [self._cells.submit(self._run_cell, cell, environment, runner) for cell in cells]
            for future in running:
                _wait(future)
        except RuntimeError:  # the pool takes no more: interrupted
            return
        finally:
            runner.close()

    def _new_runner(self, request: Request, environment: Environment, version: str) -> Runner:
        folder = self._folder
        of = (request.framework, version)
        places = Places(folder.log(*of), folder.traces(*of), folder.checkpoints, folder.spool(*of))
        for needed in (places.log.parent, places.traces, places.checkpoints):
            needed.mkdir(parents=True, exist_ok=True)
        runner = self._parts.launch(environment, places, lambda text: self._observer.note(request, text))
        with self._guard:
            self._runners.append(runner)
        if self._stopping.is_set():  # before it could see this runner
            runner.close()
        return runner

    def _cells_due(self, number: int, request: Request, environment: Environment) -> list[PlannedCell]:
        """Cells still to be run; those that an earlier run finished are recorded as they are."""
        version = self._own_release(number, request, environment.version)
        lock = environment.lock_hash if request.python is None else None
        due, again = [], Counter[str]()
        planned = self._planned_cells(number, request, version, lock)
        for cell in planned:
            earlier = self._folder.earlier(cell.name)
            why = None if earlier is None else self._why_again(cell, earlier)
            if earlier is None or why is not None:
                due.append(cell)
                again.update([] if why is None else [why])
            else:
                self._record_cell(cell, self._parts.settle(earlier, environment, self._plan.scenario(cell.choice)))
        if again:
            self._observer.note(request, experiment.told(len(planned) - len(due), again))
        self._folder.went_on(len(planned) - len(due), again)
        return due

    def _why_again(self, cell: PlannedCell, earlier: CellRecord) -> str | None:
        """Why the verdict of an earlier run does not stand for a cell; None if it does."""
        if why := experiment.difference(earlier, cell.record("unknown")):
            return why
        if earlier.verdict == "unsupported":  # which leaves no trace
            return None
        try:
            trace = self._folder.trace(cell.request.framework, cell.version, cell.choice)
        except BadFolder:
            return experiment.DAMAGED
        mine = earlier.trace == self._folder.relative(trace)
        return None if mine and self._parts.whole(trace, cell.scenario_hash) else experiment.DAMAGED

    def _own_release(self, number: int, request: Request, version: str) -> str:
        """The version under which the cells stand, unlike that of every other environment of this run."""
        name = release(request, version)
        with self._guard:
            while (request.framework, name) in self._releases:
                name += "+again"
            self._releases[request.framework, name] = number
        return name

    def _planned_cells(
        self, number: int, request: Request, version: str, environment: str | None = None
    ) -> list[PlannedCell]:
        return [
            PlannedCell(
                (number, i),
                request,
                choice,
                version,
                self._plan.command(request, choice),
                self._plan.scenario(choice).hash,
                environment,
            )
            for i, choice in enumerate(self._plan.choices)
            if self._plan.wants(request, choice)
        ]

    def _record_broken(
        self, number: int, request: Request, reason: str, tail: str, cells: Sequence[PlannedCell] | None = None
    ) -> None:
        if self._stopping.is_set():
            return
        self._observer.broken(request, reason, tail)
        if cells is None:
            cells = self._planned_cells(
                number, request, self._own_release(number, request, request.version or "unknown")
            )
        for cell in cells:
            self._record_cell(cell, cell.record("unknown", reason=reason))

    # ---- one cell

    def _run_cell(self, cell: PlannedCell, environment: Environment, runner: Runner) -> None:
        """Run a cell and hand its trace to the judge; whatever goes wrong leaves it unknown."""
        try:
            self._launch_ranks(cell, environment, runner)
        except Exception as error:  # noqa: BLE001  one cell's fault leaves it unknown, and the others go on
            if not self._stopping.is_set():  # or it failed because it was ended
                self._record_cell(cell, cell.record("unknown", reason=f"the harness failed: {_said(error)}"))

    def _launch_ranks(self, cell: PlannedCell, environment: Environment, runner: Runner) -> None:
        self._observer.started(cell.name)
        scenario = self._plan.scenario(cell.choice)
        checkpoint = self._written_checkpoint(cell.choice, scenario)
        trace = self._folder.trace(cell.request.framework, cell.version, cell.choice)
        self._folder.discard(cell.name)
        shutil.rmtree(trace, ignore_errors=True)
        trace.mkdir(parents=True)
        job = Job(
            adapter=environment.adapter,
            framework=environment.framework,
            version=environment.version,
            scenario=scenario,
            checkpoint=str(checkpoint.absolute()),
            trace=str(trace.absolute()),
            fault=cell.choice.fault or self._plan.fault,
            deterministic=self._plan.deterministic,
            training=self._plan.training,
        )
        self._judge_or_record(cell, environment, trace, runner.run(job, self._plan.timeout))

    def _written_checkpoint(self, choice: Choice, scenario: Scenario) -> Path:
        """The scenario's folder, written by the first cell that needs it."""
        folder = self._folder.checkpoint(choice)
        with self._writing, self._checkpoints[choice.label]:
            if not folder.exists():
                partial = folder.with_name(f"{folder.name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                self._parts.checkpoint(scenario, partial)
                partial.rename(folder)
        return folder

    def _judge_or_record(self, cell: PlannedCell, environment: Environment, trace: Path, ran: Ran) -> None:
        if self._stopping.is_set():
            return
        if ran.status == "unsupported":
            self._record_and_keep(cell, cell.record("unsupported", reason=ran.reason, seconds=ran.seconds))
        elif ran.status == "finished":
            self._judging.append(self._judges.submit(self._judge_trace, cell, environment, trace, ran.seconds))
        else:
            finding = Finding("run.crashed", crash_message(ran))
            self._record_and_keep(
                cell,
                cell.record(
                    "unknown",
                    reason=finding.message,
                    findings=[verdict.record_finding(finding)],
                    trace=self._folder.relative(trace),
                    seconds=ran.seconds,
                ),
            )

    def _judge_trace(self, cell: PlannedCell, environment: Environment, trace: Path, seconds: float) -> None:
        told = {"trace": self._folder.relative(trace), "seconds": seconds}
        try:
            judged = self._parts.judge(inside(self._folder.path, trace))  # where the release could put a link
        except Exception as error:  # noqa: BLE001  a check that crashes proves nothing
            self._record_and_keep(cell, cell.record("unknown", reason=f"the judge failed: {_said(error)}", **told))
            return
        found = judged_record(cell.record("unknown", **told), judged)
        self._record_and_keep(cell, self._parts.settle(found, environment, self._plan.scenario(cell.choice)))

    def _record_and_keep(self, cell: PlannedCell, record: CellRecord) -> None:
        self._record_cell(cell, record)
        self._parts.keep(record)

    def _record_cell(self, cell: PlannedCell, record: CellRecord) -> None:
        self._folder.record(cell.place, record)
        self._observer.recorded(record)


def _tail(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    return "\n".join(tail(log).splitlines()[-TAIL_LINES:])


def _said(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _wait(future: Future[None]) -> None:
    try:
        future.result()
    except CancelledError:
        return

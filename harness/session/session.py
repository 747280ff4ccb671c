"""Running a plan: every framework's environment in a thread of its own, cells in a pool, verdicts as they come.

What builds, launches and judges is handed in (`Parts`), and whoever wants to watch hands in an `Observer`.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.contract import Job, Scenario
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.request import BadRequest, Request
from harness.session.folder import RunFolder
from harness.session.plan import Choice, Plan, release
from harness.verdicts import verdict
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.verdict import CellRecord, Outcome, Verdict, ViewRecord

TAIL_LINES = 15

WAITING = 2
"""Frameworks that are started beside those whose cells run: one template process takes half a gigabyte."""

PATIENCE = 5.0
"""Seconds that an interrupted run waits for all that it has told to end."""


class Ran(Protocol):
    """How a cell's processes ended; `harness.launch` has the real one."""

    @property
    def status(self) -> str:
        """finished, crashed, timeout or unsupported."""

    @property
    def seconds(self) -> float: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def log_tail(self) -> str: ...


class Judged(Protocol):
    """What the judge made of a trace; `harness.judging.judge` has the real one."""

    @property
    def findings(self) -> Sequence[Finding]: ...

    @property
    def diagnoses(self) -> Sequence[Diagnosis]: ...


class Runner(Protocol):
    """Runs cells of one environment; its methods may be called from several threads."""

    def start(self) -> None:
        """Make ready for cells; may take minutes, and may raise anything."""

    def run(self, job: Job, timeout: float) -> Ran: ...

    def close(self) -> None:
        """End whatever still runs; a second call does nothing."""


@dataclass(frozen=True)
class Parts:
    """What a session is made of."""

    ensure: Callable[[Request, Callable[[str], None]], Environment]
    """Build an environment; may raise BuildFailed."""
    launch: Callable[[Environment, Path], Runner]
    """A runner that is not started yet, and that logs to a file."""
    checkpoint: Callable[[Scenario, Path], None]
    judge: Callable[[Path], Judged]
    """Called from one thread at a time."""
    settle: Callable[[CellRecord, Environment], CellRecord]
    """Takes into account what is known of a judged cell."""
    views: Callable[[Sequence[CellRecord], Path], list[ViewRecord]]
    """The scenarios of a run's folder across its frameworks, once all cells are judged."""
    keep: Callable[[CellRecord], None]
    """Told of every cell that ran, once, with its verdict; called from several threads."""
    stop: Callable[[], None]
    """End every build and every start that goes on in other threads."""


class Observer(Protocol):
    """Who watches a run; called from several threads."""

    def note(self, request: Request, text: str) -> None:
        """An environment is being built or made ready."""

    def broken(self, request: Request, reason: str, tail: str) -> None:
        """An environment cannot be had; its cells are unknown."""

    def started(self, cell: str) -> None: ...

    def recorded(self, cell: CellRecord) -> None: ...


@dataclass(frozen=True)
class _Cell:
    """One cell on its way."""

    place: tuple[int, int]
    request: Request
    choice: Choice
    version: str
    """As it stands in the verdict."""
    command: str
    scenario_hash: str
    environment: str | None = None
    """As `CellRecord` has it."""

    def record(self, verdict: Outcome, **more: object) -> CellRecord:
        fields = {
            "framework": self.request.framework,
            "version": self.version,
            "scenario": self.choice.name,
            "seed": self.choice.seed,
            "verdict": verdict,
            "command": self.command,
            "environment": self.environment,
            "scenario_hash": self.scenario_hash,
        }
        return CellRecord.model_validate(fields | more)


class Session:
    """One run of a plan into a folder."""

    def __init__(self, plan: Plan, folder: RunFolder, parts: Parts, observer: Observer) -> None:
        self._plan = plan
        self._folder = folder
        self._parts = parts
        self._observer = observer
        self._cells = ThreadPoolExecutor(plan.jobs, "cell")
        self._judges = ThreadPoolExecutor(1, "judge")
        self._judging: list[Future[None]] = []
        self._warm = threading.Semaphore(plan.jobs + WAITING)
        self._runners: list[Runner] = []
        self._releases: dict[tuple[str, str], int] = {}
        self._failures: dict[int, str] = {}
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
                threading.Thread(target=self._serve, args=(i, request, served[i]), daemon=True).start()
            for event in served:
                while not event.wait(0.5):  # a signal that another thread was given is handled between two of these
                    pass
            self._judges.shutdown(wait=True)
        except KeyboardInterrupt:
            self._interrupt(served)
            raise
        finally:
            self._cells.shutdown(wait=False, cancel_futures=True)
        self._sweep()
        return self._folder.write(complete=True, views=self._parts.views(self._folder.cells, self._folder.path))

    def _interrupt(self, served: Sequence[threading.Event]) -> None:
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

    def _sweep(self) -> None:
        """Whatever happened to a cell that has no verdict now, nothing was proved of it."""
        labels = {number: label for (_, label), number in self._releases.items()}
        for number, request in enumerate(self._plan.requests):
            version = labels.get(number, request.version or "unknown")
            for cell in self._planned(number, request, version):
                if not self._folder.has(cell.place):
                    reason = self._failures.get(number, "no verdict was reached")
                    self._record(cell, cell.record("unknown", reason=reason))

    # ---- one environment

    def _serve(self, number: int, request: Request, served: threading.Event) -> None:
        try:
            self._use(number, request)
        except Exception as error:  # noqa: BLE001  its cells are told of in `_sweep`
            self._failures[number] = f"the harness failed: {_said(error)}"
        finally:
            served.set()

    def _use(self, number: int, request: Request) -> None:
        """Build, start and use one environment. Nothing that goes wrong here touches the other ones."""
        try:
            environment = self._parts.ensure(request, lambda text: self._observer.note(request, text))
        except BuildFailed as error:
            self._broken(number, request, str(error), error.tail)
            return
        except BadRequest as error:
            self._broken(number, request, str(error), "")
            return
        except Exception as error:  # noqa: BLE001  a fault in building one must not end the others
            self._broken(number, request, f"building failed: {_said(error)}", "")
            return
        cells = self._due(number, request, environment)
        with self._warm:
            if cells and not self._stopping.is_set():
                self._start(number, request, environment, cells)

    def _start(self, number: int, request: Request, environment: Environment, cells: Sequence[_Cell]) -> None:
        """Start one environment's runner, and let it run its cells to their end."""
        runner = self._launcher(request, environment, cells[0].version)
        try:
            self._observer.note(request, "starting")
            runner.start()
        except Exception as error:  # noqa: BLE001  a framework that does not start must not end the others
            runner.close()
            tail = _tail(self._folder.log(request.framework, cells[0].version))
            self._broken(number, request, f"{request} does not start: {_said(error)}", tail, cells)
            return
        try:
            running = [self._cells.submit(self._run, cell, environment, runner) for cell in cells]
            for future in running:
                _wait(future)
        except RuntimeError:  # the pool takes no more: interrupted
            return
        finally:
            runner.close()

    def _launcher(self, request: Request, environment: Environment, version: str) -> Runner:
        log = self._folder.log(request.framework, version)
        log.parent.mkdir(exist_ok=True)
        runner = self._parts.launch(environment, log)
        with self._guard:
            self._runners.append(runner)
        if self._stopping.is_set():  # before it could see this runner
            runner.close()
        return runner

    def _due(self, number: int, request: Request, environment: Environment) -> list[_Cell]:
        """Cells still to be run; those that an earlier run finished are recorded as they are."""
        version = self._own_release(number, request, environment.version)
        lock = environment.lock_hash if request.python is None else None
        due = []
        for cell in self._planned(number, request, version, lock):
            name = cell.record("unknown").name
            earlier = self._folder.finished(name, self._plan.scenario(cell.choice))
            if earlier is None:
                due.append(cell)
            else:
                self._record(cell, self._parts.settle(earlier, environment))
        return due

    def _own_release(self, number: int, request: Request, version: str) -> str:
        """The version under which the cells stand, unlike that of every other environment of this run."""
        name = release(request, version)
        with self._guard:
            while (request.framework, name) in self._releases:
                name += "+again"
            self._releases[request.framework, name] = number
        return name

    def _planned(self, number: int, request: Request, version: str, environment: str | None = None) -> list[_Cell]:
        return [
            _Cell(
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

    def _broken(
        self, number: int, request: Request, reason: str, tail: str, cells: Sequence[_Cell] | None = None
    ) -> None:
        if self._stopping.is_set():
            return
        self._observer.broken(request, reason, tail)
        if cells is None:
            cells = self._planned(number, request, self._own_release(number, request, request.version or "unknown"))
        for cell in cells:
            self._record(cell, cell.record("unknown", reason=reason))

    # ---- one cell

    def _run(self, cell: _Cell, environment: Environment, runner: Runner) -> None:
        """Run a cell and hand its trace to the judge; whatever goes wrong leaves it unknown."""
        try:
            self._launch(cell, environment, runner)
        except Exception as error:  # noqa: BLE001  one cell's fault leaves it unknown, and the others go on
            if not self._stopping.is_set():  # or it failed because it was ended
                self._record(cell, cell.record("unknown", reason=f"the harness failed: {_said(error)}"))

    def _launch(self, cell: _Cell, environment: Environment, runner: Runner) -> None:
        self._observer.started(cell.record("unknown").name)
        scenario = self._plan.scenario(cell.choice)
        checkpoint = self._checkpoint(cell.choice, scenario)
        trace = self._folder.trace(cell.request.framework, cell.version, cell.choice)
        shutil.rmtree(trace, ignore_errors=True)
        trace.mkdir(parents=True)
        job = Job(
            adapter=environment.adapter,
            framework=environment.framework,
            version=environment.version,
            scenario=scenario,
            checkpoint=str(checkpoint.absolute()),
            trace=str(trace.absolute()),
            fault=self._plan.fault,
        )
        self._ended(cell, environment, trace, runner.run(job, self._plan.timeout))

    def _checkpoint(self, choice: Choice, scenario: Scenario) -> Path:
        """The scenario's folder, written by the first cell that needs it."""
        folder = self._folder.checkpoint(choice)
        with self._checkpoints[choice.label]:
            if not folder.exists():
                partial = folder.with_name(f"{folder.name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                self._parts.checkpoint(scenario, partial)
                partial.rename(folder)
        return folder

    def _ended(self, cell: _Cell, environment: Environment, trace: Path, ran: Ran) -> None:
        if self._stopping.is_set():
            return
        if ran.status == "unsupported":
            self._measured(cell, cell.record("unsupported", reason=ran.reason, seconds=ran.seconds))
        elif ran.status == "finished":
            self._judging.append(self._judges.submit(self._judge, cell, environment, trace, ran.seconds))
        else:
            finding = Finding("run.crashed", crash_message(ran))
            self._measured(
                cell,
                cell.record(
                    "unknown",
                    reason=finding.message,
                    findings=[verdict.record_finding(finding)],
                    trace=self._folder.relative(trace),
                    seconds=ran.seconds,
                ),
            )

    def _judge(self, cell: _Cell, environment: Environment, trace: Path, seconds: float) -> None:
        told = {"trace": self._folder.relative(trace), "seconds": seconds}
        try:
            judged = self._parts.judge(trace)
        except Exception as error:  # noqa: BLE001  a check that crashes proves nothing
            self._measured(cell, cell.record("unknown", reason=f"the judge failed: {_said(error)}", **told))
            return
        self._measured(cell, self._parts.settle(judged_record(cell.record("unknown", **told), judged), environment))

    def _measured(self, cell: _Cell, record: CellRecord) -> None:
        self._record(cell, record)
        self._parts.keep(record)

    def _record(self, cell: _Cell, record: CellRecord) -> None:
        self._folder.record(cell.place, record)
        self._observer.recorded(record)


def judged_record(cell: CellRecord, judged: Judged) -> CellRecord:
    """The cell with the verdict that follows from what was found."""
    outcome = verdict.outcome(judged.findings)
    return cell.model_copy(
        update={
            "verdict": outcome,
            "findings": [verdict.record_finding(f) for f in judged.findings],
            "diagnoses": [verdict.record_diagnosis(d) for d in judged.diagnoses],
            "reason": judged.findings[0].message if outcome == "unknown" else None,
        }
    )


def crash_message(ran: Ran) -> str:
    """One line for a cell that did not end by itself: the reason, and the last line of the log."""
    reason = ran.reason or f"the run ended as {ran.status}"
    lines = [line.strip() for line in ran.log_tail.splitlines() if line.strip()]
    return reason if not lines or lines[-1] in reason else f"{reason}; last line of the log: {lines[-1]}"


def _tail(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    except OSError:
        return ""


def _said(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _wait(future: Future[None]) -> None:
    try:
        future.result()
    except CancelledError:
        return

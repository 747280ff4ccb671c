"""What a session is made of, played: no environment is built, and no process started."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.contract import END, HEADER, Job, Scenario
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.request import Request
from harness.session.folder import RunFolder
from harness.session.parts import Parts
from harness.session.plan import Choice, Plan
from harness.session.session import Session
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.verdict import CellRecord, Verdict

TORCH = Request("torch", "2.13.0")
OLD = Request("deepspeed", "0.18.9")
NEW = Request("deepspeed", "0.19.8")


@dataclass
class Ran:
    status: str = "finished"
    seconds: float = 0.1
    reason: str | None = None
    log_tail: str = ""


@dataclass
class Judged:
    findings: Sequence[Finding] = ()
    diagnoses: Sequence[Diagnosis] = ()
    open: Sequence[str] = ()


@dataclass
class Watcher:
    """Remembers what it was told."""

    broken_ones: list[tuple[str, str, str]] = field(default_factory=list)
    started_cells: list[str] = field(default_factory=list)
    cells: list[CellRecord] = field(default_factory=list)
    resumed: str | None = None

    def note(self, request: Request, text: str) -> None:
        pass

    def broken(self, request: Request, reason: str, tail: str) -> None:
        self.broken_ones.append((str(request), reason, tail))

    def started(self, cell: str) -> None:
        self.started_cells.append(cell)

    def recorded(self, cell: CellRecord) -> None:
        self.cells.append(cell)


@dataclass
class World:
    """Fakes of everything outside the session; `play` says how a job ends."""

    play: Callable[[Job], Ran] = lambda job: Ran()
    judge: Callable[[Path], Judged] = lambda trace: Judged()
    broken: frozenset[Request] = frozenset()
    faulty_start: bool = False
    jobs: list[Job] = field(default_factory=list)
    running: int = 0
    most: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)
    checkpoints: list[str] = field(default_factory=list)
    kept: list[CellRecord] = field(default_factory=list)
    locks: dict[Request, str] = field(default_factory=dict)
    """Hashes of locks that are not `0`."""

    def parts(self) -> Parts:
        return Parts(
            self.ensure,
            lambda environment, places, note: self,
            self.checkpoint,
            self.judge,
            self.whole,
            lambda cell, environment, scenario: cell,
            lambda cells, folder: [],
            self.kept.append,
            self.stopped.set,
        )

    def ensure(self, request: Request, note: Callable[[str], None]) -> Environment:
        if request in self.broken:
            raise BuildFailed(request.framework, request.version or "", "there is no such release", "line 1\nline 2")
        note("building")
        here = Path("env")
        lock = self.locks.get(request, "0")
        return Environment(request.framework, request.version or "9.9", here, here, here, "adapters.fake", (), lock)

    def whole(self, trace: Path, scenario_hash: str) -> bool:
        return (trace / END).exists() and json.loads((trace / HEADER).read_text())["scenario_hash"] == scenario_hash

    def start(self) -> None:
        if self.faulty_start:
            raise OSError("no template")

    def checkpoint(self, scenario: Scenario, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.checkpoints.append(scenario.name)

    def run(self, job: Job, timeout: float) -> Ran:
        with self.guard:
            self.jobs.append(job)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            trace = Path(job.trace)
            (trace / HEADER).write_text(json.dumps({"scenario_hash": job.scenario.hash}))
            ran = self.play(job)
            if ran.status == "finished":
                (trace / END).write_text("{}")
            return ran
        finally:
            with self.guard:
                self.running -= 1

    def close(self) -> None:
        self.closed.set()


def run(plan: Plan, world: World, out: Path, resume: bool = False) -> tuple[Verdict, Watcher]:
    watcher = Watcher()
    with RunFolder.claim(out, resume) as folder:
        whole = Session(plan, folder, world.parts(), watcher).run()
    watcher.resumed = folder.resumed
    return whole, watcher


def verdicts(whole: Verdict) -> dict[str, str]:
    return {cell.name: cell.verdict for cell in whole.cells}


CHOICES = (Choice("sft-ragged"), Choice("sft-equal"))

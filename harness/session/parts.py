"""What a session is made of (`Parts`) and who watches it (`Observer`): the seams where tests put parts of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.contract import Job, Scenario
from harness.environments.environment import Environment
from harness.environments.request import Request
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.verdict import CellRecord, ViewRecord


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

    @property
    def open(self) -> Sequence[str]:
        """What could not be asked: keys of `harness.verdicts.questions.OPEN`."""


class Runner(Protocol):
    """Runs cells of one environment; its methods may be called from several threads."""

    def start(self) -> None:
        """Make ready for cells; may take minutes, and may raise anything."""

    def run(self, job: Job, timeout: float) -> Ran: ...

    def close(self) -> None:
        """End whatever still runs; a second call does nothing."""


@dataclass(frozen=True)
class Places:
    """What of a run's folder concerns one environment's runner."""

    log: Path
    """Where it writes what belongs to no cell."""
    traces: Path
    """Holds the traces of its cells."""
    checkpoints: Path
    """Holds what its cells begin with."""
    spool: Path
    """Where it speaks with its jobs on a cluster."""


@dataclass(frozen=True)
class Parts:
    """What a session is made of."""

    ensure: Callable[[Request, Callable[[str], None]], Environment]
    """Build an environment; may raise BuildFailed."""
    launch: Callable[[Environment, Places, Callable[[str], None]], Runner]
    """A runner that is not started yet; it says what it waits for."""
    checkpoint: Callable[[Scenario, Path], None]
    judge: Callable[[Path], Judged]
    """Called from one thread at a time."""
    whole: Callable[[Path, str], bool]
    """Whether a trace of an earlier run is still what was recorded, of the scenario with that hash; called from several
    threads."""
    settle: Callable[[CellRecord, Environment, Scenario], CellRecord]
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

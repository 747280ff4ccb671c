"""What every report is made from: a run's verdict, and beside each cell what its trace tells without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adapters.contract import Scenario
from harness.traces import recovered_numbers, text_files
from harness.traces.recovered_numbers import StepWeights
from harness.traces.text_files import Header, Reported, UnreadableTrace
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict


@dataclass(frozen=True)
class Told:
    """What a trace tells, as far as it can be read."""

    header: Header | None = None
    scenario: Scenario | None = None
    reported: tuple[Reported, ...] = ()
    """What rank 0 of the framework told of each step."""
    problem: str | None = None
    """One line, if a part of it cannot be read."""


@dataclass(frozen=True)
class Cell:
    """One cell of a run; its trace is read when asked for."""

    record: CellRecord
    trace: Path | None
    """None if there is none, or if it would lie outside the run's folder."""

    @cached_property
    def told(self) -> Told:
        if self.trace is None:
            return Told()
        try:
            header, scenario = text_files.header(self.trace)
        except UnreadableTrace as error:
            return Told(problem=str(error))
        try:
            return Told(header, scenario, text_files.reported(self.trace, scenario))
        except UnreadableTrace as error:
            return Told(header, scenario, problem=str(error))

    @cached_property
    def steps(self) -> tuple[StepWeights, ...]:
        """What the oracle recovered; none if nothing was, or an older Lockstep judged it."""
        return () if self.trace is None else recovered_numbers.read(self.trace)


@dataclass(frozen=True)
class Source:
    """A run's folder."""

    folder: Path
    verdict: Verdict
    cells: tuple[Cell, ...]
    """In the verdict's order."""


def load(folder: Path) -> Source:
    """Read a run. Raises UnreadableVerdict."""
    return of(folder, verdict.read(folder))


def of(folder: Path, found: Verdict) -> Source:
    """A run whose verdict was read already."""
    return Source(folder, found, tuple(_cells(folder, found)))


def _cells(folder: Path, found: Verdict) -> Iterator[Cell]:
    root = folder.resolve()
    for record in found.cells:
        trace = folder / record.trace if record.trace else None
        yield Cell(record, trace if trace is not None and _inside(trace, root) else None)


def _inside(trace: Path, root: Path) -> bool:
    """Whether there is such a folder, and no link in its path leads out of the run."""
    try:
        return trace.resolve().is_relative_to(root) and trace.is_dir()
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL in it
        return False

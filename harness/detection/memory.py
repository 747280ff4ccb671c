"""Cells that were run so far, kept in `detection.json`, so that a detection that was stopped goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from adapters.contract import Scenario
from harness.detection import record
from harness.detection.record import CauseResult, CellResult, Detection
from harness.fuzzing.cells import Cell, Cells, Planted
from harness.history.identity import identity
from harness.version import own_version

Key = tuple[str, str | None, str, str | None]
"""Release, environment, scenario and fault."""
OVER = "not run yet: the time was over"
EVERY = 5.0
"""Seconds after which the file is written anew."""


class TimeOver(Exception):
    """A cell is missing, and there is no time left to run it; the message is one line."""


class Memory:
    """What one folder has; no cell is run twice by the same harness in the same environment, but what is unknown."""

    def __init__(self, folder: Path, seconds: float | None = None) -> None:
        """After so many seconds no cell is begun. Raises UnreadableDetection and OSError."""
        self._end = None if seconds is None else time.monotonic() + seconds
        self._folder = folder
        self._new = Detection(lockstep=own_version(), harness=identity())
        self._kept: dict[Key, CellResult] = {}
        self._written = 0.0
        if (folder / record.FILE).exists():
            earlier = record.read(folder)
            same = earlier.harness == self._new.harness
            self._kept = {_key(cell): cell for cell in earlier.cells if same and cell.verdict != "unknown"}

    def worth_starting(self, release: str) -> bool:
        """Whether there is time left, or a cell of that release to tell of."""
        return not self._over or any(cell.release == release for cell in self._kept.values())

    @property
    def _over(self) -> bool:
        return self._end is not None and time.monotonic() > self._end

    def run(self, cells: Cells, wanted: Sequence[Planted]) -> list[CellResult]:
        """The result of each that is wanted, in that order; those that are not known yet are run on `cells`.

        Raises TimeOver.
        """
        release = f"{cells.request.framework}=={cells.version}"
        keys = [(release, cells.environment.lock_hash, scenario.hash, fault) for scenario, fault in wanted]
        missing = [pair for key, pair in zip(keys, wanted, strict=True) if key not in self._kept]
        if missing and self._over:
            raise TimeOver(OVER)
        for (scenario, fault), cell in zip(missing, cells.planted(missing), strict=True):
            self._add(_result(release, scenario, fault, cell))
        # Two matrices may have the same scenario under names of their own.
        return [
            self._kept[key].model_copy(update={"scenario": scenario.name})
            for key, (scenario, _) in zip(keys, wanted, strict=True)
        ]

    def conclude(self, **conclusions: object) -> Detection:
        """Write the whole file with what follows from the cells; returns what is in it."""
        return self._write(complete=True, **conclusions)

    def keep(self) -> None:
        """Write what there is, without conclusions."""
        self._write()

    def _add(self, cell: CellResult) -> None:
        self._kept[_key(cell)] = cell
        if time.monotonic() - self._written > EVERY:
            self.keep()

    def _write(self, **conclusions: object) -> Detection:
        self._written = time.monotonic()
        found = self._new.model_copy(update={"cells": list(self._kept.values()), **conclusions})
        record.write(found, self._folder)
        return found


def _key(cell: CellResult) -> Key:
    return cell.release, cell.environment, cell.scenario_hash, cell.fault


def _result(release: str, scenario: Scenario, fault: str | None, cell: Cell) -> CellResult:
    told = cell.record
    return CellResult(
        release=release,
        environment=told.environment,
        scenario=scenario.name,
        scenario_hash=scenario.hash,
        fault=fault,
        verdict=told.verdict,
        codes=tuple(sorted({finding.code for finding in told.findings})),
        causes=tuple(CauseResult(cause=s.cause, kind=s.kind, names=tuple(sorted(s.names))) for s in cell.symptoms),
        reason=told.reason,
    )

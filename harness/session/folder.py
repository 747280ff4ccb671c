"""The folder of a run: its layout, and its verdict.json kept up to date cell by cell."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

from adapters.contract import END, HEADER, Scenario
from harness.session.plan import Choice
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict, ViewRecord
from harness.version import own_version

CELLS, SCENARIOS, LOGS = "cells", "scenarios", "logs"
PAGES = "html"
"""The report for a browser, of the run once it has ended."""


class BadFolder(Exception):
    """The folder cannot take a run; the message is one line with the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        """The message without the remedy, for who has another one."""


class RunFolder:
    """An `--out` folder. Its methods may be called from several threads."""

    def __init__(self, path: Path, kept: list[CellRecord]) -> None:
        self.path = path
        self._kept = {cell.name: cell for cell in kept}
        self._cells: dict[tuple[int, int], CellRecord] = {}
        self._guard = threading.Lock()

    @staticmethod
    def claim(path: Path, resume: bool = False) -> RunFolder:
        """Make `path` ready for a run. An older run in it is gone on with if `resume`, else replaced.

        Raises BadFolder for a file, for a folder that holds anything else, and where nothing can be written.
        Raises UnreadableVerdict if a run that is to be resumed has a verdict that cannot be read.
        """
        _check(path)
        kept: list[CellRecord] = []
        try:
            path.mkdir(parents=True, exist_ok=True)
            if (path / verdict.FILE).exists():
                kept = verdict.read(path).cells if resume else []
                # A checkpoint is made anew in any case: the scenario may be another one since.
                for name in (SCENARIOS, PAGES) if resume else (CELLS, SCENARIOS, LOGS, PAGES):
                    shutil.rmtree(path / name, ignore_errors=True)
            folder = RunFolder(path, kept)
            folder.write(complete=False)
        except OSError as error:
            raise BadFolder(f"{path} cannot be written ({error.strerror})", "choose another --out") from None
        return folder

    def checkpoint(self, choice: Choice) -> Path:
        return self.checkpoints / choice.label

    @property
    def checkpoints(self) -> Path:
        return self.path / SCENARIOS

    def traces(self, framework: str, release: str) -> Path:
        """Of one environment."""
        return self.path / CELLS / f"{framework}-{release}"

    def trace(self, framework: str, release: str, choice: Choice) -> Path:
        return self.traces(framework, release) / choice.label

    def log(self, framework: str, release: str) -> Path:
        """Where a framework's template process writes what belongs to no cell."""
        return self.path / LOGS / f"{framework}-{release}.txt"

    def relative(self, trace: Path) -> str:
        return trace.relative_to(self.path).as_posix()

    def finished(self, name: str, scenario: Scenario) -> CellRecord | None:
        """The cell of an earlier run, if it came to a verdict on this very scenario and its trace is still whole."""
        cell = self._kept.get(name)
        if cell is None or cell.verdict == "unknown":
            return None
        if cell.verdict == "unsupported":
            return cell
        trace = self.path / (cell.trace or "")
        try:
            recorded = json.loads((trace / HEADER).read_text()).get("scenario_hash")
        except (OSError, ValueError, AttributeError):
            return None
        return cell if recorded == scenario.hash and (trace / END).exists() else None

    def record(self, place: tuple[int, int], cell: CellRecord) -> None:
        """Add a cell at its place in the plan (framework, scenario) and write the verdict anew."""
        with self._guard:
            self._kept.pop(cell.name, None)
            self._cells[place] = cell
            verdict.write(self._verdict(complete=False), self.path)

    def has(self, place: tuple[int, int]) -> bool:
        with self._guard:
            return place in self._cells

    def write(self, complete: bool, views: list[ViewRecord] | None = None) -> Verdict:
        with self._guard:
            whole = self._verdict(complete).model_copy(update={"views": views or []})
            verdict.write(whole, self.path)
            return whole

    @property
    def cells(self) -> list[CellRecord]:
        """All that is recorded, in the order of the plan."""
        with self._guard:
            return self._verdict(complete=False).cells

    def _verdict(self, complete: bool) -> Verdict:
        planned = [cell for _, cell in sorted(self._cells.items())]
        return Verdict(lockstep=own_version(), cells=[*self._kept.values(), *planned], complete=complete)


def _check(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise BadFolder(f"{path} is a file", "give a folder with --out")
    if path.is_dir() and not (path / verdict.FILE).exists() and any(path.iterdir()):
        raise BadFolder(f"{path} holds something other than a lockstep run", "choose a new or empty folder with --out")

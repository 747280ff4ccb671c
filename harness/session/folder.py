"""The folder of a run: its layout, and its verdict.json kept up to date cell by cell."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from harness.environments import claims
from harness.session import experiment
from harness.session.plan import Choice
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict, ViewRecord
from harness.version import own_version

CELLS, SCENARIOS, LOGS, SPOOLS = "cells", "scenarios", "logs", "spools"
PAGES = "html"
"""The report for a browser, of the run once it has ended."""
CLAIM = "run"


class BadFolder(Exception):
    """The folder cannot take a run; the message is one line with the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        """The message without the remedy, for who has another one."""


class RunFolder:
    """An `--out` folder. Its methods may be called from several threads."""

    def __init__(self, path: Path, earlier: list[CellRecord]) -> None:
        self.path = path
        self._earlier = {cell.name: cell for cell in earlier}
        self._cells: dict[tuple[int, int], CellRecord] = {}
        self._kept = 0
        self._again: Counter[str] = Counter()
        self._guard = threading.Lock()

    @staticmethod
    @contextmanager
    def claim(path: Path, resume: bool = False) -> Iterator[RunFolder]:
        """Make `path` ready for a run, and keep others from writing there as long as it goes on.

        An older run in it is gone on with if `resume`, else replaced. Raises BadFolder for a file, for a folder that
        holds anything else, where another process writes, and where nothing can be written. Raises UnreadableVerdict if
        a run that is to be resumed has a verdict that cannot be read.
        """
        with ExitStack() as held:
            try:
                _check(path)
                path.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(path))
                folder = _opened(path, resume)
            except OSError as error:
                raise BadFolder(f"{path} cannot be written ({error.strerror})", "choose another --out") from None
            yield folder

    def checkpoint(self, choice: Choice) -> Path:
        """Raises BadFolder, as the other places do, where a symbolic link would lead out of the run's folder."""
        return inside(self.path, self.checkpoints / choice.label)

    @property
    def checkpoints(self) -> Path:
        return self.path / SCENARIOS

    def traces(self, framework: str, release: str) -> Path:
        """Of one environment."""
        return inside(self.path, self.path / CELLS / f"{framework}-{release}")

    def trace(self, framework: str, release: str, choice: Choice) -> Path:
        return inside(self.path, self.traces(framework, release) / choice.label)

    def log(self, framework: str, release: str) -> Path:
        """Where a framework's template process writes what belongs to no cell."""
        return inside(self.path, self.path / LOGS / f"{framework}-{release}.txt")

    def spool(self, framework: str, release: str) -> Path:
        """Where a framework's jobs on a cluster get their cells."""
        return inside(self.path, self.path / SPOOLS / f"{framework}-{release}")

    def relative(self, trace: Path) -> str:
        return trace.relative_to(self.path).as_posix()

    def earlier(self, name: str) -> CellRecord | None:
        """The cell of an earlier run, if it came to a verdict."""
        with self._guard:
            cell = self._earlier.get(name)
        return None if cell is None or cell.verdict == "unknown" else cell

    def went_on(self, kept: int, again: Mapping[str, int]) -> None:
        """Count verdicts of an earlier run that stand and, by what they were reached with, those that do not."""
        with self._guard:
            self._kept += kept
            self._again.update(again)

    def discard(self, name: str) -> None:
        """Give up the verdict of an earlier run, on disk too, before its trace is replaced by another one."""
        with self._guard:
            if self._earlier.pop(name, None) is not None:
                verdict.write(self._verdict(complete=False), self.path)

    @property
    def resumed(self) -> str | None:
        """One line for what was done with the verdicts of an earlier run; None if there was none to look at."""
        with self._guard:
            return experiment.told(self._kept, self._again) if self._kept or self._again else None

    def record(self, place: tuple[int, int], cell: CellRecord) -> None:
        """Add a cell at its place in the plan (framework, scenario) and write the verdict anew."""
        with self._guard:
            self._earlier.pop(cell.name, None)
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
        return Verdict(lockstep=own_version(), cells=[*self._earlier.values(), *planned], complete=complete)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Write into a run's folder as the only one who does. Raises BadFolder, and OSError where that cannot be."""
    with ExitStack() as held:
        try:
            held.enter_context(claims.alone(path, CLAIM))
        except claims.Taken as taken:
            raise BadFolder(f"{path} is being written by another lockstep ({taken})", "wait for its end") from None
        yield


@contextmanager
def own_place(path: Path, claim: str, what: str, marks: frozenset[str]) -> Iterator[None]:
    """Make the folder of something other than a run, and keep other processes from it; `marks` are files that tell an
    earlier one of its kind. Raises BadFolder."""
    with ExitStack() as held:
        try:
            if path.exists() and not path.is_dir():
                raise BadFolder(f"{path} is a file", "give a folder with --out")
            path.mkdir(parents=True, exist_ok=True)
            names = {each.name for each in path.iterdir()}
            if names and not names & {*marks, claims.FOLDER}:
                raise BadFolder(
                    f"{path} holds something other than a {what}", "choose a new or empty folder with --out"
                )
            held.enter_context(claims.alone(path, claim))
        except claims.Taken as taken:
            remedy = "wait for it, or give another --out"
            raise BadFolder(f"another {what} goes on in {path} ({taken})", remedy) from None
        except OSError as error:
            raise BadFolder(f"{path} cannot be written ({error.strerror})", "choose another --out") from None
        yield


def inside(root: Path, path: Path) -> Path:
    """`path`, to which no symbolic link below the run's folder `root` leads. Raises BadFolder.

    A run may come from elsewhere, and the release under test may write into its own part of it: what is written there
    stays there.
    """
    place = root
    for part in path.relative_to(root).parts:
        place /= part
        if part == "..":
            raise BadFolder(f"{place} leads out of {root}", "give the scenario another name")
        if place.is_symlink():
            raise BadFolder(f"{place} is a symbolic link, and nothing is written through it", "remove the link")
    return path


def unused(parent: Path) -> Path:
    """A new folder in `parent`, named for the time in UTC; no two processes get the same one. Raises BadFolder."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = (stamp, *(f"{stamp}-{number}" for number in range(2, 1000)))
    for path in (parent / name for name in names):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise BadFolder(f"{path} cannot be made ({error.strerror})", "choose another place with --out") from None
        return path
    raise BadFolder(f"{parent} holds a thousand runs of this very second", "choose another place with --out")


def _opened(path: Path, resume: bool) -> RunFolder:
    """Raises BadFolder, UnreadableVerdict and OSError."""
    for name in (verdict.FILE, CELLS, SCENARIOS, LOGS, PAGES):
        inside(path, path / name)
    earlier: list[CellRecord] = []
    if (path / verdict.FILE).exists():
        earlier = verdict.read(path).cells if resume else []
        # A checkpoint is made anew in any case: the scenario may be another one since.
        for name in (SCENARIOS, PAGES) if resume else (CELLS, SCENARIOS, LOGS, PAGES):
            shutil.rmtree(path / name, ignore_errors=True)
    folder = RunFolder(path, earlier)
    folder.write(complete=False)
    return folder


def _check(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise BadFolder(f"{path} is a file", "give a folder with --out")
    others = path.is_dir() and any(each.name != claims.FOLDER for each in path.iterdir())
    if others and not (path / verdict.FILE).exists():
        raise BadFolder(f"{path} holds something other than a lockstep run", "choose a new or empty folder with --out")

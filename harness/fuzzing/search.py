"""A whole fuzz: draw, run, judge, make small what fails, go past it, and keep all of it in a folder."""

from __future__ import annotations

import shlex
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from harness.environments.request import Request
from harness.fuzzing import axes, corpus, drawing, record, shrinking
from harness.fuzzing.cells import Cell, Cells
from harness.fuzzing.coverage import Coverage
from harness.fuzzing.known import accepted
from harness.fuzzing.record import CauseRecord, Fuzz, Line, Spent, UnknownRecord
from harness.fuzzing.shrinking import Answer, Shrunk
from harness.fuzzing.symptoms import Symptom, like
from harness.history.identity import identity
from harness.judging.accepted import Entry
from harness.session.folder import BadFolder
from harness.verdicts.verdict import record_diagnosis
from harness.version import own_version

CORPUS, WORK = "corpus", "work"
EVERY = 10.0
"""Seconds after which `fuzz.json` is written anew, where nothing was found."""
MOST_UNKNOWN = 50
"""Reasons that are kept."""


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    request: Request
    folder: Path
    seed: int = 0
    minutes: float = 3.0
    against: Request | None = None
    """A cause counts only where this one does not have it."""
    fault: str | None = None
    corpus: Path | None = None
    """A folder beside the fuzz's own."""
    command: str = ""
    """What the user typed."""
    most: int | None = None
    """Scenarios to draw, where not the time alone ends it."""

    @property
    def work(self) -> Path:
        """Holds what cells leave while they run."""
        return self.folder / WORK

    @property
    def corpora(self) -> list[Path]:
        return [self.folder / CORPUS, *([self.corpus] if self.corpus else [])]


class Watcher(Protocol):
    def told(self, text: str) -> None:
        """Something was found, or goes on."""

    def warn(self, text: str) -> None: ...


Page = Callable[[CauseRecord, Fuzz], str]
"""What is pasted into an issue."""


class Search:
    """One fuzz; `so_far` is what was found, also where it was interrupted."""

    def __init__(
        self, wish: Wish, cells: Cells, against: Cells | None, entries: Sequence[Entry], watcher: Watcher, page: Page
    ) -> None:
        """The cells are started already. Raises BadFolder, UnreadableFuzz and OSError."""
        self._wish = wish
        self._cells = cells
        self._against = against
        self._entries = entries
        self._watcher = watcher
        self._page = page
        able = drawing.expressible(axes.axes(), cells.refuse_by_table)
        self._axes = able
        self._coverage = Coverage(able)
        drawing.keep_files_in(wish.work)
        self._drawer = drawing.Drawer(able, self._refuse, self._coverage, wish.seed)
        self._memory: dict[str, Cell] = {}
        """Cells that were run to make scenarios small."""
        self._todo: deque[Cell] = deque()
        self._began = time.monotonic()
        self._written = self._began
        self.so_far = self._opened()
        self._before = self.so_far.seconds
        self._verdicts = Counter(self.so_far.verdicts)
        self._refused_before = self.so_far.refused
        self._again = self._resumed()

    def run(self) -> Fuzz:
        """Search until the time is over. What was found is kept whatever ends it."""
        complete = False
        self._keep(complete)
        try:
            for cell in self._cells.stream(self._rows()):
                self._look(cell)
            complete = True
        finally:
            self._keep(complete)
        return self.so_far

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    # ---- what is run

    def _over(self) -> bool:
        return self.seconds >= self._wish.minutes * 60

    def _rows(self) -> Iterator[axes.Row]:
        """First what an earlier session did not come to the end of, then what was ever found, then what is drawn."""
        old = [row for folder in self._wish.corpora for row in corpus.read(folder, self._watcher.warn)]
        own = {axes.key(cause.settings) for cause in self.so_far.causes}
        waiting = {axes.key(row): row for row in [*self._again, *old] if axes.key(row) not in own}
        for row in waiting.values():
            if not self._over() and self._refuse(row) is None:
                self._drawer.run_before(row)
                yield row
        for row in islice(self._drawer.rows(), self._wish.most):
            if self._over():
                return
            yield row

    def _refuse(self, row: axes.Row) -> str | None:
        why = self._cells.refuse(row)
        return self._against.refuse(row) if why is None and self._against is not None else why

    # ---- what comes out

    def _look(self, cell: Cell) -> None:
        self._note(cell)
        for one in cell.symptoms:
            self._seen_again(one)
        self._todo.append(cell)
        # What is left when the time is over is made small when the fuzz goes on.
        while self._todo and not self._over():
            waiting = self._todo.popleft()
            for symptom in waiting.symptoms:
                if not self._over() and self._cause(symptom) is None and not self._there_too(waiting.row, symptom):
                    self._found(waiting, symptom)
        if time.monotonic() - self._written > EVERY:
            self._keep(False)

    def _note(self, cell: Cell) -> None:
        self._count(cell)
        told = [(one.cause, sorted(one.names)) for one in cell.symptoms]
        record.note(Line(row=axes.settings(cell.row), verdict=cell.record.verdict, symptoms=told), self._wish.folder)

    def _count(self, cell: Cell) -> None:
        self._verdicts[cell.record.verdict] += 1
        if cell.record.verdict != "unknown":
            return
        reason, kept = (cell.record.reason or "")[:300], self.so_far.unknown
        same = next((number for number, one in enumerate(kept) if one.reason == reason), None)
        if same is not None:
            kept[same] = kept[same].model_copy(update={"count": kept[same].count + 1})
        elif len(kept) < MOST_UNKNOWN:
            kept.append(UnknownRecord(reason=reason, settings=axes.settings(cell.row)))

    def _cause(self, symptom: Symptom) -> int | None:
        """The place of the cause that it may be."""
        found = (number for number, cause in enumerate(self.so_far.causes) if symptom.is_like(cause.cause, cause.names))
        return next(found, None)

    def _seen_again(self, symptom: Symptom) -> None:
        if (number := self._cause(symptom)) is not None:
            cause = self.so_far.causes[number]
            self.so_far.causes[number] = cause.model_copy(update={"seen": cause.seen + 1})

    def _there_too(self, row: axes.Row, symptom: Symptom) -> bool:
        """Whether the other release has it as well, or cannot tell."""
        if self._against is None:
            return False
        other = self._against.measure(row)
        self._verdicts[other.record.verdict] += 1
        return (
            other.record.verdict not in ("pass", "fail")
            or like(other.symptoms, symptom.cause, symptom.names) is not None
        )

    # ---- a cause

    def _found(self, cell: Cell, symptom: Symptom) -> None:
        self._watcher.told(f"found {symptom.kind}; looking for the smallest scenario that shows it")
        begun, before = time.monotonic(), self._verdicts.total()
        names = set(symptom.names)

        def ask(row: axes.Row) -> Answer:
            if self._refuse(row) is not None:
                return "refused"
            again = like(self._remembered(row).symptoms, symptom.cause, names)
            if again is None or self._there_too(row, again):
                return "other"
            names.intersection_update(again.names)
            return "fails"

        small = shrinking.shrink(axes.settings(cell.row), axes.axes(), ask)
        last = self._cells.measure(small.row)
        self._count(last)
        steady = like(last.symptoms, symptom.cause, names)
        shown = steady or like(self._memory.get(axes.key(small.row), cell).symptoms, symptom.cause, names) or symptom
        spent = Spent(cells=self._verdicts.total() - before, seconds=time.monotonic() - begun)
        self._add(cell, last, shown, small, spent, steady is not None)

    def _remembered(self, row: axes.Row) -> Cell:
        """Run once; what else it shows is looked at later."""
        key = axes.key(row)
        if key not in self._memory:
            self._memory[key] = cell = self._cells.measure(row)
            self._note(cell)
            self._drawer.run_before(row)
            self._todo.append(cell)
        return self._memory[key]

    def _add(self, first: Cell, last: Cell, shown: Symptom, small: Shrunk, spent: Spent, steady: bool) -> None:
        wish, told = self._wish, record_diagnosis(shown.diagnosis) if shown.diagnosis else None
        scenario = axes.made(small.row)
        entry = accepted(shown, last.record, scenario, self._cells.packages, self._entries)
        file = wish.folder / f"{corpus.named(shown.kind, [cause.file for cause in self.so_far.causes])}.toml"
        comment = f"{shown.kind}, found in {wish.request}" + (f" with the fault {wish.fault}" if wish.fault else "")
        corpus.write(small.row, file, comment)
        for folder in wish.corpora:
            corpus.add(small.row, folder, comment)
        fault = ["--fault", wish.fault] if wish.fault else []
        cause = CauseRecord(
            cause=shown.cause,
            kind=shown.kind,
            names=sorted(shown.names),
            scenario={"name": file.stem} | axes.content(small.row),
            settings=axes.settings(small.row),
            file=file.name,
            cells=self._verdicts.total(),
            seconds=self.seconds,
            shrinking=spent,
            steps=[one.told for one in small.tried],
            first=axes.settings(first.row),
            steady=steady,
            accepted=f"{entry.sentence} ({entry.link})" if entry else None,
            summary=told.summary if told else f"found: {shown.kind}",
            evidence=told.evidence if told else "",
            codes=told.codes if told else sorted(shown.names),
            upstream=told.upstream if told else None,
            remedy=told.remedy if told else None,
            command=shlex.join(["lockstep", "run", "--framework", str(wish.request), "--scenario", str(file), *fault]),
            bisect=shlex.join(["lockstep", "bisect", wish.request.framework, "--scenario", str(file)]),
        )
        cause = cause.model_copy(update={"markdown": self._page(cause, self.so_far)})
        self.so_far.causes.append(cause)
        self._keep(False)
        self._watcher.told(f"{cause.kind}: {file}, after {spent.cells} cells and {spent.seconds:.0f} s more")

    # ---- the folder

    def _keep(self, complete: bool) -> None:
        self._written = time.monotonic()
        seconds, cells = self.seconds, self._verdicts.total()
        self.so_far = self.so_far.model_copy(
            update={
                "verdicts": dict(self._verdicts),
                "cells": cells,
                "seconds": seconds,
                "cells_per_minute": cells / seconds * 60 if seconds else 0.0,
                "refused": self._refused_before + self._drawer.refused,
                "coverage": self._coverage.drawn(),
                "pairs": self._coverage.pairs,
                "complete": complete,
            }
        )
        record.write(self.so_far, self._wish.folder)

    def _opened(self) -> Fuzz:
        """What an earlier session has found, if the very same release was asked, by the same harness."""
        wish, cells = self._wish, self._cells
        new = Fuzz(
            lockstep=own_version(),
            harness=identity(),
            framework=str(wish.request),
            version=cells.version,
            environment=cells.environment.lock_hash,
            against=str(wish.against) if wish.against else None,
            fault=wish.fault,
            seed=wish.seed,
            minutes=wish.minutes,
            command=wish.command,
        )
        earlier = asked(wish)
        if earlier is None:
            return new
        if (earlier.harness, earlier.environment) == (new.harness, new.environment):
            return earlier.model_copy(update={"minutes": wish.minutes, "command": wish.command})
        self._watcher.told("another Lockstep or environment since: what was found is looked for again")
        (wish.folder / record.TRIED).unlink(missing_ok=True)
        return new

    def _resumed(self) -> list[axes.Row]:
        """Take in what was run before; the scenarios that showed what was not made small yet."""
        again: list[axes.Row] = []
        for line in record.tried(self._wish.folder):
            self._drawer.run_before(line.row)
            known = [
                any(c.cause == cause and set(c.names) & {*names} for c in self.so_far.causes)
                for cause, names in line.symptoms
            ]
            again += [] if all(known) else [line.row]
        return again


def asked(wish: Wish) -> Fuzz | None:
    """The fuzz that an earlier session has left in the folder. Raises BadFolder if it asks for something else, and
    UnreadableFuzz."""
    if not (wish.folder / record.FILE).exists():
        return None
    earlier = record.read(wish.folder)
    now = (str(wish.request), str(wish.against) if wish.against else None, wish.fault, wish.seed)
    if (earlier.framework, earlier.against, earlier.fault, earlier.seed) != now:
        raise BadFolder(
            f"{wish.folder} holds a fuzz of {earlier.framework} with seed {earlier.seed}", "give another --out"
        )
    return earlier

"""How far trainings are, and how long they will take, by the steps that their frameworks have reported."""

from __future__ import annotations

import time
from pathlib import Path

from adapters.contract import TRAINED_STEPS
from harness.commands.pace import left
from harness.session.folder import CELLS


class StepsLeft:
    """Counts lines of files that grow."""

    def __init__(self, run: Path, trainings: int, steps: int) -> None:
        """run: the folder of trainings that have so many steps together."""
        self._run, self._trainings, self._steps = run, trainings, steps
        self._begun, self._before = time.monotonic(), self._made()

    def tally(self, done: int) -> str:
        """`done`: trainings that are over."""
        made = self._made()
        time_left = left(time.monotonic() - self._begun, made - self._before, self._steps - made)
        return f"{done}/{self._trainings} trainings, {made}/{self._steps} steps{time_left}"

    def _made(self) -> int:
        return sum(_lines(path) for path in (self._run / CELLS).glob(f"*/*/{TRAINED_STEPS}"))


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:  # it is replaced at this moment
        return 0

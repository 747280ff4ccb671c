"""One machine of a cell, as the launcher sees it: the program `far` there, at the other end of a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.launch.multinode.line import Gone, Line
from harness.launch.multinode.machines import Machine, Machines
from harness.launch.outcome import signal_name, tail
from harness.processes import PATIENCE, Kept, TimedOut


class Lost(Exception):
    """A machine cannot be used, or not any more; the message names it, in one line."""


class Station:
    """Whatever runs there ends by `close`, and when this process ends. What reaches the machine complains in `log`."""

    def __init__(self, machines: Machines, machine: Machine, log: Path) -> None:
        self.machine = machine
        self._log = log
        with log.open("ab") as out:
            self._kept = Kept(machines.command(machine), os.environ, stdin=-1, stderr=out)
        process = self._kept.keeper
        assert process.stdin is not None
        assert process.stdout is not None
        self._line = Line(process.stdout, process.stdin)

    def see(self, paths: Sequence[Path]) -> int:
        """A free port there. Raises Lost where the machine is not reached, or does not see one of these paths."""
        self._line.tell(see=[str(path) for path in paths])
        said = self._hear()
        if said["missing"]:
            unseen = said["missing"][0]
            raise Lost(f"machine {self.machine.name} does not see {unseen}; it must be on a file system that all share")
        return int(said["port"])

    def order(self, **order: Any) -> None:
        """Have it begin with its share."""
        self._line.tell(**order)

    def answer(self) -> dict[str, Any]:
        """How that ended. Raises Lost."""
        return self._hear()

    def close(self) -> None:
        """A second call does nothing."""
        self._kept.close()  # first: an order that nobody reads would keep the line
        self._line.close()

    def _hear(self) -> dict[str, Any]:
        try:
            return self._line.hear()
        except Gone as gone:
            raise Lost(f"machine {self.machine.name}: {self._how_it_ended() or gone}") from None

    def _how_it_ended(self) -> str | None:
        """The command that reaches it; None while that runs."""
        try:
            code = self._kept.wait(PATIENCE / 5).code
        except TimedOut:
            return None
        if code is None:
            return "what reaches it was ended"
        how = f"killed by {signal_name(-code)}" if code < 0 else f"ended with status {code}"
        said = tail(self._log).strip().splitlines()[-1:]
        return f"the command on it was {how}" if code < 0 else ": ".join([f"the command on it {how}", *said])

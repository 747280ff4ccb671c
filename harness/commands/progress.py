"""What is shown on stderr while a run goes on: a live line where that is a terminal, else one line an event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.environments.request import Request
from harness.verdicts.verdict import CellRecord


class Progress:
    """An observer of `harness.session`; a context manager, so that the live line is always taken away again."""

    def __init__(self, tally: Callable[[int], str], console: Console, brief: bool = False) -> None:
        """`tally` says how far it is, from the number of cells that are done. `brief`: of what breaks, one line."""
        self._tally = tally
        self._brief = brief
        self._failing = "FAIL"
        self._console = console
        self._done = 0
        self._running: list[str] = []
        self._notes: dict[str, str] = {}
        self._guard = threading.RLock()  # the live line draws itself from a thread of its own
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, request: Request, text: str) -> None:
        with self._guard:
            self._notes[str(request)] = text
        self._plain(text if str(request) in text else f"{request}: {text}")

    def told(self, text: str) -> None:
        """What goes on before any environment is built."""
        self._plain(text)

    def failing(self, word: str) -> None:
        """What a cell that fails is called from now on."""
        self._failing = word

    def broken(self, request: Request, reason: str, tail: str) -> None:
        with self._guard:
            self._notes.pop(str(request), None)
        indented = "" if self._brief else "".join(f"\n    {line}" for line in tail.splitlines())
        self._console.print(Text(f"lockstep: {reason}{indented}"), soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(Text(f"lockstep: {text}"), soft_wrap=True)

    def started(self, cell: str) -> None:
        with self._guard:
            self._running.append(cell)
            for request in [r for r in self._notes if cell.startswith(f"{r}/")]:
                del self._notes[request]

    def recorded(self, cell: CellRecord) -> None:
        with self._guard:
            self._done += 1
            if cell.name in self._running:
                self._running.remove(cell.name)
        took = "" if cell.seconds is None else f" ({cell.seconds:.1f} s)"
        word = self._failing if cell.verdict == "fail" else cell.verdict
        self._plain(f"[{self._tally(self._done)}] {word:<7} {cell.name}{took}")

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(Text(line), soft_wrap=True)

    def _draw(self) -> Table:
        with self._guard:
            table = Table.grid()
            table.add_row(Text(self._tally(self._done), "bold"))
            for request, text in self._notes.items():
                table.add_row(Text(f"  {text if request in text else f'{request}: {text}'}"))
            for cell in self._running:
                table.add_row(Text(f"  {cell}"))
            return table

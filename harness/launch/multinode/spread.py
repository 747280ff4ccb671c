"""One cell over several machines: each has a share of the ranks, and they end together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.contract import CRASH, Job
from harness.launch.multinode.machines import Machines
from harness.launch.multinode.share import Share
from harness.launch.multinode.station import Lost, Station
from harness.launch.outcome import Ending

__all__ = ["Lost", "Spread"]

GRACE = 2.0
"""Seconds that the other machines have to end by themselves after the first has failed, or to tell that it was they who
failed first."""
BEFORE = 1.0
"""Seconds before the time of a cell is over, at which it is seen whether a rank has failed by then."""
Answer = dict[str, Any] | Lost


class Spread:
    """The machines while one cell runs. Raises Lost, where one cannot be used. What reaches them complains in files of
    `folder`."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self._machines = machines
        self._stations: list[Station] = []
        with ExitStack() as undo:
            undo.callback(self.close)
            for number, machine in enumerate(machines.every):
                self._stations.append(Station(machines, machine, folder / f"log-reach-{number}.txt"))
            undo.pop_all()

    def see(self, paths: Sequence[Path]) -> int:
        """A port that is free on the first machine. Raises Lost unless each machine sees all of these paths."""
        first, *_ = [station.see(paths) for station in self._stations]
        return first

    def run(self, python: Path, variables: Mapping[str, str], job: Job, timeout: float) -> Ending:
        """Run a cell, whose paths are whole, for `timeout` seconds at most. Raises Lost where it did not begin."""
        port = self.see([python, Path(job.trace), Path(job.checkpoint)])
        address = self._machines.every[0].address
        order = {"python": str(python), "variables": dict(variables), "job": job.dumps(), "timeout": timeout}
        for number, station in enumerate(self._stations):
            share = Share(number, len(self._stations), address, port)
            station.order(**order, share=asdict(share), other=self._machines.others(station.machine))
        # each machine ends its ranks when their time is over, and those of another one may still complain of that
        in_time: list[bool] = []
        look = threading.Timer(timeout - BEFORE, lambda: in_time.append((Path(job.trace) / CRASH).exists()))
        look.daemon = True
        look.start()
        try:
            return _together(self._answers(), any(in_time))
        finally:
            look.cancel()

    def close(self) -> None:
        """End all that still runs there; a second call does nothing."""
        for station in self._stations:
            station.close()

    def _answers(self) -> list[Answer]:
        """Those of the machines in the order in which they came; after a failure, those that come in time."""
        coming: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        for station in self._stations:
            threading.Thread(target=_listen, args=(station, coming), daemon=True).start()
        answers = [coming.get()]
        try:
            while len(answers) < len(self._stations):
                answers.append(coming.get(timeout=GRACE if any(map(_failed, answers)) else None))
        except queue.Empty:
            pass
        return answers


def _listen(station: Station, coming: queue.SimpleQueue[Answer]) -> None:
    try:
        coming.put(station.answer())
    except Lost as lost:
        coming.put(lost)


def _failed(answer: Answer) -> bool:
    return (
        isinstance(answer, Lost)
        or any(code != 0 for _, code in answer["ended"])
        or bool(answer["lost"] or answer["unnamed"])
    )


def _together(answers: Sequence[Answer], in_time: bool) -> Ending:
    """How the whole cell ended. A machine that is gone has made all others fail, and so may one whose time was over.
    in_time: whether a rank had written of a failure before that."""
    told = [answer for answer in answers if not isinstance(answer, Lost)]
    if any(answer["timed_out"] for answer in told):
        ranks = {*(rank for answer in told for rank in answer["killed"])}
        ranks |= {rank for answer in told for rank, code in answer["ended"] if code != 0}
        return Ending(killed=tuple(sorted(ranks)), timed_out=True, written_late=not in_time)
    gone = next((str(answer) for answer in answers if isinstance(answer, Lost)), None)
    return Ending(
        ended=tuple((rank, code) for answer in told for rank, code in answer["ended"]),
        killed=tuple(sorted(rank for answer in told for rank in answer["killed"])),
        lost=gone or next((answer["lost"] for answer in told if answer["lost"]), None),
        left=frozenset(rank for answer in told for rank in answer["left"]),
        unnamed=next((answer["unnamed"] for answer in told if answer["unnamed"]), None),
    )

"""One job of a cluster that is held: it does what it is asked, one thing after the other, on each of its nodes.

What ends is never begun again, for nobody knows what it has done until then.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import processes
from harness.launch.cluster import errands
from harness.launch.cluster.queued import LEAVING, LOOK, POLL
from harness.launch.cluster.slurm import Allocation, Jobs, Refused, Unreachable, alive
from harness.launch.cluster.spool import Spool
from harness.launch.outcome import tail

GRACE = 30.0
"""Seconds that the other nodes have after one has failed."""
LATE = 60.0
"""Seconds after which a file of a node is seen here by NFS, at the latest."""
WORDS: Mapping[str, str] = {
    "OUT_OF_MEMORY": "ran out of memory; ask for more by --sbatch=--mem=SIZE",
    "TIMEOUT": "ran out of time; give it more by --time",
    "NODE_FAIL": "has lost a node",
    "PREEMPTED": "has made room for another one",
    "CANCELLED": "was cancelled",
}


class JobEnded(Exception):
    """The job is over, or there is none, before it has done what it was asked; the message is one line."""


class Held:
    """The job, from entering to leaving this; `root` is the folder through which they speak, `note` is told its state.

    What it is asked is asked from one thread.
    """

    def __init__(self, allocation: Allocation, root: Path, note: Callable[[str], None]) -> None:
        self._allocation = allocation
        self._note = note
        self._spool = Spool(root.absolute())
        self._jobs = Jobs(f"lockstep-{secrets.token_hex(4)}")
        self._numbers = itertools.count(1)
        self._job = ""
        self._ended: str | None = None
        self._said: str | None = None
        self._unnamed = False
        """Whether Slurm did not know the job when it was last asked, as right after it was submitted."""
        self._leaving = threading.Event()

    def __enter__(self) -> Self:
        """Raises JobEnded where Slurm takes no such job, and OSError."""
        self._spool.make(self._jobs.name)
        try:
            self._job = self._submitted()
        except BaseException:  # an interrupt, after which it may have been submitted all the same
            self._jobs.cancel()
            raise
        threading.Thread(target=self._watch, name=self._jobs.name, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the job, and wait until Slurm says so."""
        self._spool.stop()
        self._jobs.cancel()
        deadline = time.monotonic() + LEAVING
        while self._ended is None and time.monotonic() < deadline:
            time.sleep(POLL)
            self._look()
        self._leaving.set()

    def do(
        self,
        work: Callable[..., Any],
        *of: Any,
        failed: Callable[[Any], object] = lambda _: False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Any]:
        """Have each node call `work(*of)`, whose answer JSON can hold, and return their answers.

        Once one has `failed`, the others are waited for a while only, and may be missing. `meanwhile` is called all the
        time. Raises JobEnded, and `errands.Failed` where the work raises anything.
        """
        number, limit = next(self._numbers), float("inf")
        self._spool.ask(number, errands.packed(work, of))
        while True:
            ended = self._ended
            answers = [errands.unpacked(answer) for answer in self._spool.said(number)]
            meanwhile()
            one_failed = any(map(failed, answers))
            if len(answers) == self._allocation.nnodes or (one_failed and time.monotonic() > limit):
                return answers
            if one_failed or ended is not None:
                limit = min(limit, time.monotonic() + (LATE if ended == "COMPLETED" else GRACE if answers else POLL))
            if ended is not None and time.monotonic() > limit:
                raise JobEnded(f"job {self._job} {self._how(ended)}")
            time.sleep(POLL)

    def _submitted(self) -> str:
        """The number of the job. Raises JobEnded."""
        while True:
            try:
                return self._jobs.submit(
                    self._spool.logs, self._allocation, 1, errands.serve, self._spool.root, everywhere=True
                )
            except Unreachable as error:
                self._tell(str(error))
                time.sleep(LOOK)
            except Refused as error:
                raise JobEnded(str(error)) from None

    def _how(self, ended: str) -> str:
        state = ended.split(",", maxsplit=1)[0]
        if state in WORDS:
            return WORDS[state]
        printed = "\n".join(tail(log) for log in sorted(self._spool.logs.glob(f"{self._job}_*_log.out")))
        said = printed.strip().splitlines()[-1:] or ["it printed nothing"]
        return f"ended as {ended}: {said[0]}"

    # ---- in the thread that watches

    def _watch(self) -> None:
        for count in itertools.count(1):
            with contextlib.suppress(OSError):  # a disk that is full now may not be for ever
                self._spool.beat(count)
            with contextlib.suppress(OSError, processes.TooMuchOutput):  # nor a machine that starts nothing more
                self._look()
            if self._leaving.wait(LOOK):
                break

    def _look(self) -> None:
        states = self._jobs.states()
        if states is None:
            return self._tell("Slurm does not answer")
        state = states.get(self._job, "gone")
        if not alive(states) and (state != "gone" or self._unnamed):
            self._ended = state
        elif not state.startswith(("RUNNING", "COMPLETING", "gone")):
            self._tell(f"job {self._job}: {state.lower()}")
        self._unnamed = state == "gone"
        return None

    def _tell(self, text: str) -> None:
        if text != self._said and not self._leaving.is_set():
            self._note(text)
            self._said = text

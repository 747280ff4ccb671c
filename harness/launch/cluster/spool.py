"""The folder through which a run and its jobs on a cluster speak. It lies on a file system that all of them see.

A ticket is one attempt at one cell. It is in one of three places: waiting, taken by a worker, or answered. Each of its
ways is one rename, so that no two workers have it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.contract import Job
from harness import files
from harness.launch.outcome import Outcome

NAME = "name"
"""What the jobs are called in Slurm; written before the first of them is submitted."""
MOST = 2**20
"""Bytes of any file here."""
_ALIVE, _STOP = "alive", "stop"
_WAITING, _TAKEN, _ANSWERS, _WORKERS = "waiting", "taken", "answers", "workers"


@dataclass(frozen=True)
class Ticket:
    """One attempt at one cell."""

    number: int
    """Of the cell."""
    attempt: int
    """From 1."""
    job: Job
    timeout: float

    @property
    def file(self) -> str:
        return f"{self.number:06d}-{self.attempt}.json"


class Spool:
    """One environment's folder, as both sides see it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # ---- the run's side

    def make(self, name: str) -> None:
        """An empty spool, in the place of an older one. Raises OSError."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (_WAITING, _TAKEN, _ANSWERS, _WORKERS):
            (self.root / folder).mkdir(parents=True)
        self.beat(0)
        files.replace(self.root / NAME, name)

    @property
    def name(self) -> str | None:
        """What the jobs of an older run were called; None if there was none."""
        try:
            return files.read_text(self.root / NAME, MOST, follow=False)
        except (OSError, UnicodeDecodeError):
            return None

    def beat(self, count: int) -> None:
        """Say that the run goes on. The file keeps its place: on NFS what is replaced may be seen late."""
        (self.root / _ALIVE).write_text(str(count), encoding="utf-8")

    def stop(self) -> None:
        """Ask every worker to end. Where nothing can be written they hear no more, which ends them too."""
        with contextlib.suppress(OSError):
            (self.root / _STOP).touch()

    def put(self, ticket: Ticket) -> None:
        text = json.dumps({"job": ticket.job.dumps(), "timeout": ticket.timeout})
        files.replace(self.root / _WAITING / ticket.file, text)

    def answers(self) -> list[str]:
        """The files of the tickets that have been answered."""
        return [path.name for path in (self.root / _ANSWERS).glob("*.json")]

    def answered(self, ticket: Ticket) -> Outcome:
        """How its cell ended."""
        said = json.loads(files.read(self.root / _ANSWERS / ticket.file, MOST, follow=False))
        return Outcome(**{**said, "exit_codes": {int(rank): code for rank, code in said["exit_codes"].items()}})

    def taken(self) -> dict[str, str]:
        """The worker that has each ticket which was ever taken, by the ticket's file."""
        return {path.name: path.parent.name for path in (self.root / _TAKEN).glob("*/*.json")}

    def workers(self) -> dict[str, str | None]:
        """The workers that have begun: None for one that takes cells, or why it cannot."""
        found = {}
        for path in (self.root / _WORKERS).glob("*.json"):
            found[path.stem] = json.loads(files.read(path, MOST, follow=False))
        return found

    def ask(self, number: int, what: str) -> None:
        """Have a held job do something; see `errands`."""
        files.replace(self.root / _WAITING / f"{number:06d}", what)

    def said(self, number: int) -> list[str]:
        """The answers that there are, one a node."""
        found = sorted((self.root / _ANSWERS).glob(f"{number:06d}-*.json"))
        return [files.read_text(path, MOST, follow=False) for path in found]

    @property
    def logs(self) -> Path:
        """Where the jobs print, and what submitit hands to them."""
        return self.root / "jobs"

    # ---- a worker's side

    @property
    def pulse(self) -> str | None:
        """Another text each time that the run says that it goes on; None if workers are to end."""
        try:
            text = (self.root / _ALIVE).read_text(encoding="utf-8")
            return None if (self.root / _STOP).exists() else text
        except FileNotFoundError:  # the run's folder is gone
            return None
        except OSError:  # not to be read now: if that stays, it is silence
            return ""

    def begin(self, worker: str, problem: str | None) -> None:
        """Say that a worker takes cells, or why it cannot."""
        files.replace(self.root / _WORKERS / f"{worker}.json", json.dumps(problem))

    def take(self, worker: str) -> Ticket | None:
        """A ticket that nobody else gets; None if none waits."""
        mine = self.root / _TAKEN / worker
        mine.mkdir(exist_ok=True)
        for path in sorted((self.root / _WAITING).glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # another worker was first
                path.rename(mine / path.name)
                return self._read(mine / path.name)
        return None

    def answer(self, ticket: Ticket, outcome: Outcome) -> None:
        files.replace(self.root / _ANSWERS / ticket.file, json.dumps(asdict(outcome)))

    def asked(self, number: int) -> str | None:
        """What is asked of a held job; None as long as it is not."""
        with contextlib.suppress(FileNotFoundError):
            return files.read_text(self.root / _WAITING / f"{number:06d}", MOST, follow=False)
        return None

    def say(self, number: int, node: str, answer: str) -> None:
        files.replace(self.root / _ANSWERS / f"{number:06d}-{node}.json", answer)

    def _read(self, path: Path) -> Ticket:
        said = json.loads(files.read(path, MOST, follow=False))
        number, attempt = map(int, path.stem.split("-"))
        return Ticket(number, attempt, Job.loads(said["job"]), said["timeout"])

"""A chain of kills: one command, killed again and again, brought to its end, and looked at."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.environments import claims, days, hashes, resolution, store
from tests.kills import commands, processes
from tests.kills.commands import Command

GONE = 30.0
"""Seconds after which nothing may be left of a command that has ended."""
LONGEST = 240.0
"""Seconds that a command may take to its end."""
MOMENT = {"lockstep": 8.0, "template": 8.0, "keeper": 8.0, "bwrap": 8.0, "torchrun": 8.0, "uv": 3.0} | dict.fromkeys(
    ("cell", "rank"), 0.4
)
"""Most seconds between the first sight of a process and the kill; most live about twice that long."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""Half of the kills cannot be caught."""


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it."""

    command: str
    kind: str
    """Of the process."""
    number: str
    """The signal's name."""
    after: float
    """Seconds since the command was started."""
    status: int
    """Of the command."""
    seconds: float
    """From the end of the command to that of the last process below it."""


@dataclass
class Chain:
    """What is done with one command in one folder."""

    command: Command
    folder: Path
    envs: Path
    random: random.Random
    kinds: Sequence[str]
    """Kinds of processes that are waited for."""
    kills: list[Kill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Of all of it."""

    def go(self, number: int) -> None:
        """Kill something below the command that often, then bring it to its end and look at what is there."""
        begun = time.monotonic()
        (self.folder / "tmp").mkdir()
        (self.folder / "canaries.toml").write_text(commands.CANARIES)
        for _ in range(number):
            before = commands.recorded(self.folder)
            self._kill_once()
            self._see_that_none_is_lost(before)
        status = self._finish(self._start())
        if status != self.command.status:
            self.problems.append(f"status {status} at the end instead of {self.command.status}: {self._said()}")
        self.problems += self.command.wrong(self.folder)
        self.problems += [f"temporary: {path.name}" for path in sorted((self.folder / "tmp").iterdir())]
        self.problems += [f"half written: {path}" for path in self._half_written()]
        self.problems += half_environments(self.envs)
        self.seconds = time.monotonic() - begun

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [commands.LOCKSTEP, *self.command.words, "--envs", str(self.envs)],
                cwd=self.folder,
                env={
                    **os.environ,
                    "TMPDIR": str(self.folder / "tmp"),
                    "LOCKSTEP_HISTORY": str(self.folder / "history.sqlite"),
                },
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _kill_once(self) -> None:
        """Wait for a process of some kind, and a moment more; then kill it, or Lockstep, or whatever is there."""
        process = self._start()
        begun = time.monotonic()
        milestone = self.random.choice(self.kinds)
        wanted = self.random.choice((milestone, milestone, "lockstep", ""))
        while process.poll() is None and milestone not in processes.below(os.getpid()).values():
            time.sleep(0.01)
        time.sleep(self.random.uniform(0.0, MOMENT[milestone]))
        struck = None if process.poll() is not None else self._strike(process.pid, wanted)
        after = time.monotonic() - begun
        status = self._finish(process)
        seconds, left = processes.seconds_until_none(GONE)
        if struck is not None:
            self.kills.append(Kill(self.command.name, *struck, after, status, seconds))
        if left:
            what = " got ".join(struck or ("nothing",))
            self.problems.append(f"{len(left)} left {GONE:.0f} s after {what}: {sorted(left.values())}")
            for each in left:
                os.kill(each, signal.SIGKILL)

    def _strike(self, main: int, wanted: str) -> tuple[str, str] | None:
        """Kill a process of the wanted kind, or of another one; what it was, and the signal's name."""
        alive = processes.below(os.getpid())
        kind = wanted if wanted in alive.values() else self.random.choice(sorted(set(alive.values()) or {"lockstep"}))
        number = self.random.choice(SIGNALS)
        try:
            os.kill(self.random.choice([p for p, k in alive.items() if k == kind] or [main]), number)
        except ProcessLookupError:
            return None
        return kind, number.name

    def _finish(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + LONGEST
        while process.poll() is None:
            if time.monotonic() > deadline:
                self.problems.append(f"{self.command.name} hangs: {self._said()}")
                process.kill()
            processes.reap(process.pid)
            time.sleep(0.02)
        return process.returncode

    def _said(self) -> str:
        return " | ".join((self.folder / "said.txt").read_text(errors="replace").splitlines()[-3:])

    def _see_that_none_is_lost(self, before: dict[tuple[str, str], object]) -> None:
        after = commands.recorded(self.folder)
        self.problems += [f"{place[1]} was lost" for place in before if place not in after]
        self.problems += [f"{place[1]} ran again" for place, cell in before.items() if after.get(place, cell) != cell]

    def _half_written(self) -> Iterator[Path]:
        for path in (self.folder / commands.OUT).rglob("*"):
            if path.name.endswith((".partial", ".older")):
                yield path.relative_to(self.folder)


def half_environments(envs: Path) -> list[str]:
    """What a build that was killed has left, or taken for whole without being it."""
    found = []
    for folder in sorted(p for p in envs.glob("*") if p.is_dir()):
        if folder.name in (claims.FOLDER, resolution.FOLDER, days.FOLDER, hashes.FOLDER):
            continue
        if folder.name.startswith((store.BUILDING, store.REMOVING)):
            found.append(f"left of a build: {folder.name}")
        elif missing := _missing(folder):
            found.append(f"half an environment: {folder.name} lacks {len(missing)} files, such as {missing[0]}")
    return found


def _missing(folder: Path) -> list[str]:
    """Files that the packages of an environment say they have installed, and that are not there.

    None where it stands for an interpreter of the user's: nothing was installed for it.
    """
    if (folder / "environment.json").exists() and not (folder / "venv").exists():
        return []
    site = next(folder.glob("venv/lib/python*/site-packages"), None)
    if site is None or not (folder / "environment.json").exists():
        return ["environment.json"]
    records = list(site.glob("*.dist-info/RECORD"))
    names = [line.rsplit(",", 2)[0].strip('"') for record in records for line in record.read_text().splitlines()]
    return [name for name in names if not name.endswith(".pyc") and not (site / name).exists()]


def fresh(envs: Path, place: Path) -> Path:
    """A folder of environments without any, but with what was resolved before."""
    place.mkdir()
    for name in (resolution.FOLDER, days.FOLDER):
        if (envs / name).is_dir():
            shutil.copytree(envs / name, place / name)
    return place

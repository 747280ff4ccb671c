"""`lockstep run` as a user starts it: a process of its own, and a look at what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import torch

from harness.across import compare
from harness.traces import reader
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict

COMMAND = Path(sys.executable).with_name("lockstep")
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked for in /proc")
"""For what no portable interface tells: the processes of a run, by their environment. Linux, so CI, has it."""


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    out: Path
    status: int
    printed: str
    said: str
    """On stderr."""
    survivors: tuple[str, ...]
    """Command lines of processes that were still there some seconds later."""
    files: tuple[str, ...]
    """What was left in its folder for temporary files."""

    @cached_property
    def verdict(self) -> Verdict:
        return verdict.read(self.out)

    def cell(self, name: str) -> CellRecord:
        """The cell of that name, `FRAMEWORK==VERSION/SCENARIO[@SEED]`."""
        return next(cell for cell in self.verdict.cells if cell.name == name)

    def trace(self, name: str) -> Path:
        return self.out / (self.cell(name).trace or "")


@dataclass(frozen=True)
class Joined:
    """Several runs that have ended, read as one; of cells with one name, the first run's."""

    runs: tuple[Run, ...]

    @cached_property
    def verdict(self) -> Verdict:
        cells = {c.name: c for run in reversed(self.runs) for c in run.verdict.cells}
        return Verdict(cells=list(cells.values()), complete=all(run.verdict.complete for run in self.runs))

    def cell(self, name: str) -> CellRecord:
        return next(cell for cell in self.verdict.cells if cell.name == name)

    def trace(self, name: str) -> Path:
        return next(run for run in self.runs if any(c.name == name for c in run.verdict.cells)).trace(name)

    @property
    def survivors(self) -> tuple[str, ...]:
        return tuple(line for run in self.runs for line in run.survivors)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(name for run in self.runs for name in run.files)


Ended = Run | Joined


def distance(one: Path, other: Path, step: int, near_eps: float = 0.0) -> float:
    """L2 distance between the parameters of two traces after that many optimizer steps.

    Left out are elements whose gradient was, at some step of the first, within `near_eps` times Adam's eps: there Adam
    makes a part of a step of the rounding in it. They may be one in a thousand.
    """
    a, b = reader.read(one), reader.read(other)
    rule = a.scenario.optimizer
    held = {name: torch.ones_like(p, dtype=torch.bool) for name, p in a.state(0, "param").items()}
    for count in range(1, step + 1):
        for name, second in a.state(count, "exp_avg_sq").items():
            root = (second / (1 - rule.beta2**count)).sqrt()
            held[name] &= (root >= near_eps * rule.eps) | (second == 0)  # never seen in a batch: never moved
    left_out = sum(int((~kept).sum()) for kept in held.values())
    assert left_out <= sum(kept.numel() for kept in held.values()) / 1000
    ends = ({n: p[held[n]] for n, p in trace.state(step, "param").items()} for trace in (a, b))
    return compare.gap(*ends).distance


class Running:
    """A run that goes on. `out`, of that name, is made in `folder`, which exists.

    Its folder for temporary files has a short path, as a user's has: frameworks make sockets there, and the path of one
    has 107 characters at most.
    """

    def __init__(self, folder: Path, environments: Path, *arguments: str, name: str = "out") -> None:
        self.out = folder / name
        self._temporary = Path(tempfile.mkdtemp(prefix="run-"))
        options = ["--out", str(self.out), "--envs", str(environments)]
        self.process = subprocess.Popen(
            [str(COMMAND), "run", *arguments, *options],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(self._temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, timeout: float) -> Run:
        """Wait for its end and for what it started. Raises TimeoutExpired, and kills what it can, if it lasts."""
        try:
            printed, said = self.process.communicate(timeout=timeout)
        except BaseException:
            for process in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, 9)
            self.process.wait()
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise
        wait_until(lambda: not self.processes(), 5.0)
        survivors = tuple(_command_line(process) for process in self.processes())
        files = tuple(sorted(path.name for path in self._temporary.iterdir()))
        shutil.rmtree(self._temporary)
        return Run(self.out, self.process.returncode, printed, said, survivors, files)

    def processes(self) -> list[int]:
        """Every process of this run. Empty where there is no /proc."""
        return processes_in(self._temporary)

    def rank(self, number: int) -> tuple[int, str] | None:
        """A process of that rank of a cell that goes on, and the folder of its trace; told by the log it writes to."""
        for process in self.processes():
            with contextlib.suppress(OSError):
                log = Path(f"/proc/{process}/fd/1").readlink()
                if log.name == f"log-r{number:02d}.txt":
                    return process, log.parent.name
        return None

    @property
    def recorded(self) -> int:
        """Cells that have a verdict by now."""
        with contextlib.suppress(verdict.UnreadableVerdict):
            return len(verdict.read(self.out).cells)
        return 0


def run(folder: Path, environments: Path, *arguments: str, timeout: float = 600.0, name: str = "out") -> Run:
    """Run `lockstep run` with these arguments to its end."""
    return Running(folder, environments, *arguments, name=name).finish(timeout)


def processes_in(temporary: Path) -> list[int]:
    """Processes whose temporary files go below that folder, as those of all that a command has started do."""
    mark = f"TMPDIR={temporary}".encode()
    return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/environ") if mark in _content(p)]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def _content(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def _command_line(process: int) -> str:
    return _content(Path(f"/proc/{process}/cmdline")).replace(b"\0", b" ").decode(errors="replace")

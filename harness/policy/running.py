"""Making the trainings that are missing, several at once, in processes that end with this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from harness import printable, processes
from harness.policy.runs import FOLDER
from harness.policy.training import Run
from harness.policy.work import RUNS
from harness.processes import Kept

LOOK = 0.5
"""Seconds between two looks at what is done."""
LONGEST = 500
"""Characters of what a process says in the end."""


def make(runs: Sequence[Run], folder: Path, jobs: int, watch: Callable[[], None]) -> list[str]:
    """Train all of them; `watch` is called again and again meanwhile. What processes that broke said, in one line each.

    Raises OSError.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    if not runs:
        return []
    each = -(-len(runs) // jobs)
    parts = [runs[at : at + each] for at in range(0, len(runs), each)]
    begun: list[Kept] = []
    with ThreadPoolExecutor(len(parts)) as pool:
        try:
            working = [pool.submit(_worked, part, folder, begun.append) for part in parts]
            while wait(working, LOOK).not_done:
                watch()
        finally:
            for kept in begun:
                kept.close()
    watch()
    return [said for one in working if (said := one.result())]


def _worked(runs: Sequence[Run], folder: Path, started: Callable[[Kept], None]) -> str | None:
    """One process for some trainings. What it said, if it broke."""
    command = [sys.executable, "-m", "harness.policy.work", str(folder)]
    given = RUNS.dump_json(tuple(runs)).decode()
    try:
        done = processes.run(command, os.environ, stdin=given, started=started)
    except processes.TooMuchOutput:
        return "a training printed too much"
    if done.code == 0:
        return None
    last = done.errors.strip().splitlines()[-1:] or [f"it ended with status {done.code}"]
    return printable.line(last[0], LONGEST)

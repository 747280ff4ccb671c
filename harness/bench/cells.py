"""Cells of real frameworks: cold and warm, recorded and not, how many a minute, and all of a matrix."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import scenarios
from adapters.contract import Job, Scenario
from harness.bench.metric import Metric, progress, ratio, seconds, timed
from harness.environments.environment import Environment
from harness.judging.judge import judge
from harness.launch.outcome import Outcome
from harness.launch.template import Template
from harness.oracle.basis_cache import BasisCache
from scenarios import checkpoint

EVERYWHERE = "sft-ragged"
"""The scenario that every framework runs."""
TIMEOUT = 300.0


class Launcher(Protocol):
    """A way to run cells."""

    def run(self, job: Job, timeout: float) -> Outcome: ...


class Cells:
    """One cell of one environment, run as often as needed; every run has a trace of its own below `folder`."""

    def __init__(self, environment: Environment, scenario: Scenario, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        checkpoint.write(scenario, folder / "checkpoint")
        self._job = Job(
            adapter=environment.adapter,
            framework=environment.framework,
            version=environment.version,
            scenario=scenario,
            checkpoint=str(folder / "checkpoint"),
            trace="",
        )

    def run(self, launcher: Launcher, record: bool = True) -> Path:
        """Run it once and return its trace. Raises RuntimeError if it does not finish."""
        self._count += 1
        trace = self._folder / f"trace-{self._count}"
        trace.mkdir()
        ran = launcher.run(replace(self._job, trace=str(trace), record=record), TIMEOUT)
        if ran.status != "finished":
            raise RuntimeError(f"the cell did not finish: {ran.reason}\n{ran.log_tail}")
        return trace


def cold_and_warm(cells: Cells, cold: Launcher, warm: Launcher, runs: int) -> Metric:
    """How much faster a cell is when it is forked from a template that runs already."""
    slow, fast = [], []
    for number in range(runs):
        progress(f"a cell, cold and warm: {number + 1} of {runs}")
        slow.append(timed(lambda: cells.run(cold)))
        fast.append(timed(lambda: cells.run(warm)))
    return ratio(slow, fast, ("torchrun", "template"))


def recording(cells: Cells, warm: Launcher, runs: int) -> Metric:
    """A cell that is recorded over the same cell that is not."""
    progress(f"a cell with and without recording, {runs} times")
    pairs = [(timed(lambda: cells.run(warm)), timed(lambda: cells.run(warm, record=False))) for _ in range(runs)]
    return ratio([p[0] for p in pairs], [p[1] for p in pairs], ("recorded", "not recorded"))


def warm_cells(environment: Environment, folder: Path, runs: int) -> dict[str, Metric]:
    """Warm cells of one framework, of the scenario that all of them can run, one after the other: from the request to
    the end, and how many a minute are run and judged."""
    progress(f"warm cells of {environment.framework} {environment.version}")
    folder.mkdir()
    cells = Cells(environment, scenarios.get(EVERYWHERE), folder)
    variables = {**environment.variables, **environment.cpu_variables}
    with Template(environment.python, environment.adapter, variables, folder / "template.txt") as warm:
        warm.start()
        cache = BasisCache()  # as in a run, whose cells begin alike
        judge(cells.run(warm), cache)  # not counted: the first reads files that the later ones find in memory
        ran, judged = [], []
        for _ in range(runs):
            begun = time.perf_counter()
            trace = cells.run(warm)
            between = time.perf_counter()
            judge(trace, cache)
            ran.append(between - begun)
            judged.append(time.perf_counter() - between)
    name = environment.framework
    minute = 60.0 / statistics.median(a + b for a, b in zip(ran, judged, strict=True))
    return {
        f"warm_cell_seconds.{name}": seconds(ran, "template"),
        f"cells_per_minute_{name}": Metric(minute, "cells/min", runs, {"template": ran, "judge": judged}),
    }


def smoke_matrix(frameworks: list[str], root: Path, folder: Path) -> dict[str, Metric]:
    """The smoke matrix of these frameworks, whose environments are there, by the command: once, as a user waits for it.
    Raises RuntimeError where a cell could not be judged."""
    progress("the smoke matrix")
    asked = [word for name in frameworks for word in ("--framework", name)]
    where = ["--envs", str(root), "--out", str(folder / "smoke")]
    command = [sys.executable, "-m", "harness", "run", "--matrix", "smoke", *asked, *where]
    begun = time.perf_counter()
    own = {**os.environ, "LOCKSTEP_HISTORY": str(folder / "history.jsonl")}
    ended = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - begun
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"the smoke matrix ended with status {ended.returncode}\n{ended.stdout[-2000:]}")
    return {"smoke_matrix_seconds": seconds([spent], "lockstep run")}

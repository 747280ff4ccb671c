"""`python -m harness.bench`: how long the parts of a run take. Writes `.runs/bench.json`.

What is compared is measured side by side, in turn, so that whatever else the machine does meets both alike; each value
is a median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from rich.console import Console
from rich.table import Table

import scenarios
from adapters.contract import Job, Scenario
from harness import files, temporary
from harness.environments import build, recipes, store
from harness.environments.environment import Environment
from harness.environments.request import parse
from harness.judging.judge import judge
from harness.launch.outcome import Outcome
from harness.launch.template import Template
from harness.launch.torchrun import Torchrun
from harness.oracle import full_basis, local_basis
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import BasisCache
from harness.trial.model import Size as ModelSize
from harness.trial.overhead import HUNDRED_MILLION
from harness.trial.overhead import measure as measure_overhead
from scenarios import checkpoint, text, weights

FRAMEWORK = "deepspeed==0.19.8"
SCENARIO = "sft-ragged-zero2-offload"
"""The scenario of the bug that Lockstep was made for: two ranks, ZeRO 2, the optimizer on the CPU."""
EVERYWHERE = "sft-ragged"
"""The scenario that every framework runs."""
TIMEOUT = 300.0

RUNS = 7
LEAST = 5
"""Runs below which a median says little; fewer are for the tests of this file."""


@dataclass(frozen=True)
class Metric:
    """A median, and what it is the median of."""

    value: float
    unit: str
    runs: int
    samples: dict[str, list[float]]
    """Seconds of every run."""


class Launcher(Protocol):
    """A way to run cells."""

    def run(self, job: Job, timeout: float) -> Outcome: ...


def ratio(above: Sequence[float], below: Sequence[float], names: tuple[str, str]) -> Metric:
    """The quotient of two medians."""
    value = statistics.median(above) / statistics.median(below)
    return Metric(value, "ratio", len(above), dict(zip(names, (list(above), list(below)), strict=True)))


def seconds(samples: Sequence[float], name: str) -> Metric:
    return Metric(statistics.median(samples), "s", len(samples), {name: list(samples)})


def timed(action: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


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


def judging(trace: Path, runs: int) -> Metric:
    """From the trace of a whole cell of three steps to its verdict, no basis known before."""
    progress(f"judging a cell, {runs} times")
    return seconds([timed(lambda: judge(trace, BasisCache())) for _ in range(runs)], "judge")


def oracle(scenario: Scenario, runs: int) -> Metric:
    """One step of 8 conversations on one core: the gradient of every token, and the weights of one gradient."""
    rows = [text.render(row, scenario.tokenizer.vocabulary).ids for row in scenario.data.rows[: scenario.rows_per_step]]
    progress(f"the oracle on {sum(map(len, rows))} tokens, {runs} times")
    parameters = {n: torch.from_numpy(a) for n, a in weights.initial(scenario.model, scenario.seed).items()}

    def once() -> None:
        built = full_basis.build(parameters, scenario.model, [Segment(tuple(ids)) for ids in rows])
        built.solve(built.matrix.sum(0))

    with one_thread():
        return seconds([timed(once) for _ in range(runs)], "oracle")


@dataclass(frozen=True)
class Size:
    """Of a head and of what it is trained on."""

    tokens: int = 1024
    vocabulary: int = 16_000
    hidden: int = 512

    @property
    def label(self) -> str:
        return f"{self.tokens},{self.vocabulary},{self.hidden}"

    @staticmethod
    def parse(label: str) -> Size:
        """Raises ValueError."""
        tokens, vocabulary, hidden = map(int, label.split(","))
        return Size(tokens, vocabulary, hidden)


SIZES = (
    Size(),
    Size(tokens=2048),
    Size(tokens=4096),
    Size(vocabulary=32_000),
    Size(vocabulary=64_000),
    Size(hidden=1024),
    Size(hidden=2048),
)
"""One of the three grows at a time."""


@dataclass(frozen=True)
class Trained:
    """A model, and tokens of a step of it."""

    tokens: int = 512
    model: ModelSize = HUNDRED_MILLION

    @property
    def label(self) -> str:
        return f"{self.tokens},{self.model.vocabulary}"

    @staticmethod
    def parse(label: str) -> Trained:
        """Raises ValueError."""
        tokens, vocabulary, width, layers = map(int, label.split(","))
        return Trained(tokens, ModelSize(width, layers, vocabulary))


RECORDED = (
    Trained(),
    Trained(1024),
    Trained(2048),
    Trained(model=replace(HUNDRED_MILLION, vocabulary=64_000)),
    Trained(model=replace(HUNDRED_MILLION, vocabulary=128_000)),
)
"""One of tokens and vocabulary grows at a time."""

ROWS = 4096
"""Rows of the head that are asked."""


def local_weights(size: Size) -> tuple[float, float]:
    """Seconds that the weights of one float32 gradient of a random head take, and the largest error of weight x T."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(size.tokens, size.hidden, generator=generator)
    head = (torch.randn(size.vocabulary, size.hidden, generator=generator) / size.hidden**0.5).requires_grad_()
    gradient = torch.zeros_like(head)
    targets = torch.randint(size.vocabulary, (size.tokens,), generator=generator)
    for part in torch.split(torch.arange(size.tokens), 256):
        loss = torch.nn.functional.cross_entropy(hidden[part] @ head.T, targets[part], reduction="sum")
        gradient += torch.autograd.grad(loss / size.tokens, head)[0]
    begun = time.perf_counter()
    rows = local_basis.telling_rows(targets, size.vocabulary, ROWS)
    basis = local_basis.build([local_basis.head(hidden, head.detach(), targets, rows)])
    weights = basis.solve([gradient[rows].double()]).weights
    return time.perf_counter() - begun, float((weights * size.tokens - 1).abs().max())


def local(size: Size, runs: int) -> dict[str, Metric]:
    """The position-local basis on a head of that size."""
    progress(f"the weights of a head's tokens, {size.label}, {runs} times")
    found = [local_weights(size) for _ in range(runs)]
    error = Metric(max(e for _, e in found), "largest error", runs, {})
    return {
        f"local_basis_seconds.{size.label}": seconds([s for s, _ in found], "local"),
        f"local_basis_error.{size.label}": error,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(environment: Environment, folder: Path, runs: int) -> dict[str, Metric]:
    """Everything, in a folder for what the cells need and write."""
    scenario = scenarios.get(SCENARIO)
    cells = Cells(environment, scenario, folder)
    variables = {**environment.variables, **environment.cpu_variables}
    with (
        Template(environment.python, environment.adapter, variables, folder / "template.txt") as warm,
        Torchrun(environment.python, variables) as cold,
    ):
        progress("starting the template")
        warm.start()
        trace = cells.run(warm)  # not counted: the first cell reads files that the later ones find in memory
        return {
            "deepspeed_warm_cell_speedup": cold_and_warm(cells, cold, warm, runs),
            "recording_overhead": recording(cells, warm, runs),
            "oracle_seconds": oracle(scenario, runs),
            "judge_seconds": judging(trace, runs),
        }


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


def overhead(trained: Trained, runs: int) -> dict[str, Metric]:
    """What being recorded costs a training of one process: in a watched step, and in one that is not watched."""
    millions = f"{trained.model.parameters / 1e6:.0f} M"
    progress(f"a training of {millions} parameters, recorded and not, {trained.label}, {runs} times")
    spent = measure_overhead(trained.model, trained.tokens, runs)
    return {
        f"record_overhead_watched.{trained.label}": ratio(spent.watched, spent.alone, ("watched", "alone")),
        f"record_overhead_unwatched.{trained.label}": ratio(spent.unwatched, spent.alone, ("unwatched", "alone")),
    }


def write(metrics: dict[str, Metric], load: float, path: Path) -> None:
    """The measurement as JSON, in one atomic replacement."""
    machine = {"cores": os.cpu_count(), "load_before": load}
    content = {"metrics": {n: asdict(m) for n, m in metrics.items()}, "machine": machine}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps(content, indent=1) + "\n")


def show(metrics: dict[str, Metric]) -> None:
    table = Table("what", "median", "unit", "runs")
    for name, metric in metrics.items():
        table.add_row(name, f"{metric.value:.3g}", metric.unit, str(metric.runs))
    Console().print(table)


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, show."""
    parser = argparse.ArgumentParser(prog="python -m harness.bench", description="How long the parts of a run take.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each, by default {RUNS}")
    parser.add_argument("--out", type=Path, default=Path(".runs/bench.json"), help="file that is written")
    parser.add_argument("--framework", action="append", help="frameworks whose warm cells are timed, by default all")
    parser.add_argument(
        "--size",
        action="append",
        type=Size.parse,
        metavar="TOKENS,VOCABULARY,HIDDEN",
        help="heads whose tokens are weighed, by default seven, of which one of the three grows at a time",
    )
    parser.add_argument(
        "--trained",
        action="append",
        type=Trained.parse,
        metavar="TOKENS,VOCABULARY,WIDTH,LAYERS",
        help="trainings that are recorded, by default five of at least 100 M parameters",
    )
    parser.add_argument("--envs", type=Path, default=None, help="folder of environments")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    if load > 0.5:
        progress(f"the machine has a load of {load:.1f} already: only the ratios mean much")
    root, runs = options.envs or store.default_root(), max(1, options.runs)
    names = [FRAMEWORK, *(options.framework or recipes.shipped().framework)]
    environment, *others = build.ensure_all([parse(name) for name in names], root, progress)
    with temporary.folder("bench") as folder:
        metrics = measure(environment, folder, runs)
        for size in options.size or SIZES:
            metrics |= local(size, min(runs, 3))
        for trained in options.trained or RECORDED:
            metrics |= overhead(trained, min(runs, 5))
        for other in others:
            metrics |= warm_cells(other, folder / other.framework, runs)
    write(metrics, load, options.out)
    show(metrics)
    progress(f"written: {options.out}" + ("" if options.runs >= LEAST else f"; fewer than {LEAST} runs say little"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What is measured: medians, and the seconds that they are the medians of."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from harness import files


@dataclass(frozen=True)
class Metric:
    """A median, and what it is the median of."""

    value: float
    unit: str
    runs: int
    samples: dict[str, list[float]]
    """Seconds of every run."""


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


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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

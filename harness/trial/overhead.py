"""What being recorded costs a training of one process: seconds of its steps, watched, unwatched and alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import torch

from harness.trial.model import Decoder, Size, window
from lockstep_recorder import Settings
from lockstep_recorder.watcher import Watcher

HUNDRED_MILLION = Size(width=768, layers=10, vocabulary=32_000)


@dataclass(frozen=True)
class Spent:
    """Seconds of steps, in turn."""

    alone: list[float] = field(default_factory=list)
    unwatched: list[float] = field(default_factory=list)
    """Recorded, but for these steps."""
    watched: list[float] = field(default_factory=list)


def measure(size: Size, tokens: int, runs: int, accumulation: int = 2) -> Spent:
    """The same training in turn without a recorder, in a step that is watched, and in one that is not."""
    model = Decoder(size).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    steps = _steps(model, optimizer, size, tokens, accumulation)
    next(steps)  # not counted: the optimizer's state is made
    spent = Spent()
    for _ in range(runs):
        spent.alone.append(next(steps))
        with tempfile.TemporaryDirectory(prefix="lockstep_bench_") as folder:
            watcher = Watcher(Settings(folder, steps=((0, 0), (9, 9))))
            watcher.install()
            spent.watched.append(next(steps))
            spent.unwatched.append(next(steps))
            watcher.end()
    return spent


def _steps(
    model: Decoder, optimizer: torch.optim.Optimizer, size: Size, tokens: int, accumulation: int
) -> Iterator[float]:
    """Seconds of one optimizer step after the other."""
    for number in count():
        micro_batches = window(size, accumulation, tokens // accumulation, number)
        begun = time.perf_counter()
        for ids, labels in micro_batches:
            (model(ids, labels) / tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
        yield time.perf_counter() - begun

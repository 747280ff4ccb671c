"""The reference loop recorded the recorder's way, its ranks being threads of this process, with faults planted or none.

The reference hands no labels to its model. Here the right ones are handed on, as trainers do.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters import torch_sft
from adapters.contract import Job, Scenario
from adapters.faults import Plan
from harness.recordings.making import seal
from lockstep_recorder import about
from lockstep_recorder.settings import Settings
from lockstep_recorder.watcher import Watcher
from scenarios import checkpoint
from tests.faults.simulate import Meeting, Threads

_HERE = threading.local()


class NoTrace:
    """In the place of the recorder of traces."""

    def watch(self, _: torch.nn.Module) -> None: ...

    def begin(self, _: Any) -> None: ...

    def step(self, *_: Any) -> None: ...

    def end(self) -> None: ...


def _remembering(inner: Any) -> Any:
    def micro_batch(*args: Any) -> Any:
        made = inner(*args)
        _HERE.labels = made["labels"]
        return made

    return micro_batch


def _with_labels(_: torch.nn.Module, args: Any, kwargs: Any) -> Any:
    return args, {**kwargs, "labels": _HERE.labels}


def record(scenario: Scenario, plan: Plan, folder: Path, labels: bool = True) -> Path:
    """Train by that plan, and record it; returns the folder of the recording."""
    out = folder / "recording"
    checkpoint.write(scenario, folder / "checkpoint")
    job = Job("adapters.torch_sft", "torch", "simulated", scenario, str(folder / "checkpoint"), str(folder / "trace"))
    meeting = Meeting(scenario.window.ranks)
    models = [torch_sft.load_model(job) for _ in range(scenario.window.ranks)]
    watchers = [Watcher(Settings(str(out), every=1)) for _ in range(scenario.window.ranks)]

    def one(rank: int) -> None:
        _HERE.rank = rank
        recorder: Any = NoTrace()
        torch_sft.run(job, models[rank], plan, Threads(rank, scenario.window.ranks, meeting), recorder)

    def ended(future: Future[None]) -> None:
        """The others do not wait for a rank that failed."""
        if future.exception() is not None:
            meeting.barrier.abort()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(about, "rank", lambda: _HERE.rank)
        patch.setattr(about, "world", lambda: scenario.window.ranks)
        patch.setattr(torch_sft.data, "micro_batch", _remembering(torch_sft.data.micro_batch))
        # Before the threads start: hooks that come or go disturb those who go through them.
        for watcher, model in zip(watchers, models, strict=True):
            if labels:
                model.register_forward_pre_hook(_with_labels, with_kwargs=True)
            watcher.install()
            watcher.attach(model)
        with ThreadPoolExecutor(scenario.window.ranks) as threads:
            ranks = [threads.submit(one, rank) for rank in range(scenario.window.ranks)]
            for rank in ranks:
                rank.add_done_callback(ended)
        for watcher in watchers:
            watcher.end()
    failures = [failure for rank in ranks if (failure := rank.exception()) is not None]
    if failures:
        raise next((f for f in failures if not isinstance(f, threading.BrokenBarrierError)), failures[0])
    seal(out, 0)
    return out

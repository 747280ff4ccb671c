"""The reference loop with its ranks as threads of one process: random geometries without a process each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from adapters import torch_sft
from adapters.contract import Job, Part, Scenario
from adapters.faults import Plan
from adapters.inside.recorder import Recorder
from scenarios import checkpoint


@dataclass
class Meeting:
    """What the threads share: a barrier, and a place to put what is summed."""

    world: int
    values: list[Tensor | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = [None] * self.world
        self.barrier = threading.Barrier(self.world, timeout=60)


@dataclass(frozen=True)
class Threads:
    """Ranks that are threads; see `torch_sft.Ranks`."""

    rank: int
    world: int
    meeting: Meeting

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return model

    def sum(self, value: Tensor) -> Tensor:
        self.meeting.values[self.rank] = value.clone()
        self.meeting.barrier.wait()
        # In the order of the ranks, so that all of them get the same bits.
        total = torch.stack([v for v in self.meeting.values if v is not None]).sum(0)
        self.meeting.barrier.wait()
        return value.copy_(total)


class ThreadRecorder(Recorder):
    """Seals the trace when all threads are done, as ranks in processes do by a barrier."""

    def __init__(self, job: Job, rank: int, meeting: Meeting) -> None:
        super().__init__(job, rank, meeting.world, ())
        self._meeting = meeting

    def end(self) -> None:
        self._meeting.barrier.wait()
        super().end()


def run(scenario: Scenario, plan: Plan, folder: Path, job_version: str = "simulated") -> Path:
    """Train and record; returns the folder of the trace."""
    trace = folder / "trace"
    trace.mkdir(parents=True)
    checkpoint.write(scenario, folder / "checkpoint")
    whole = Job("adapters.torch_sft", "torch", job_version, scenario, str(folder / "checkpoint"), str(trace))
    parts: tuple[Part, ...] = ("before", "after") if scenario.window.resume_after else ("whole",)
    for part in parts:
        _run(replace(whole, part=part), plan, folder / "resumed.pt")
    return trace


def _run(job: Job, plan: Plan, saved: Path) -> None:
    scenario = job.scenario
    count = scenario.window.ranks_at(job.steps.start)
    meeting = Meeting(count)
    # Loaded one after the other: transformers' loading is not safe in threads.
    models = [torch_sft.load_model(job) for _ in range(count)]
    failures: list[BaseException] = []

    def one(rank: int) -> None:
        try:
            recorder = ThreadRecorder(job, rank, meeting)
            torch_sft.run(job, models[rank], plan, Threads(rank, count, meeting), recorder, saved)
        except BaseException as error:  # noqa: BLE001  told by the main thread
            failures.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise next((f for f in failures if not isinstance(f, threading.BrokenBarrierError)), failures[0])

"""A framework that is wrong where a function of the scenario says so: nothing is built, and no process started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.contract import Job, Scenario
from harness.environments.environment import Environment
from harness.fuzzing.cells import Cells
from harness.fuzzing.record import Fuzz
from harness.fuzzing.search import Search, Wish
from harness.judging.accepted import Entry
from harness.launch.asking import Ask
from harness.verdicts.findings import Diagnosis, Finding
from tests.harness.session import world
from tests.harness.session.world import Judged, Ran, World

Wrong = Callable[[Scenario], list[Diagnosis]]


def right(scenario: Scenario) -> list[Diagnosis]:
    return []


def offload(scenario: Scenario) -> list[Diagnosis]:
    """As DeepSpeed 0.18.9 has it."""
    count = scenario.window.accumulation
    if not (scenario.sharding.strategy == "zero2" and scenario.sharding.offload_optimizer and count >= 3):
        return []
    lost = ", ".join(map(str, range(1, count - 1)))
    kind = f"dropped-micro-batches: {lost} of {count}"
    codes = ("weights.dropped-micro-batches",)
    return [Diagnosis("dropped-micro-batches", "lost", 1.0, codes, "1 0 1", kind=kind, measured=("first and last",))]


def means(scenario: Scenario) -> list[Diagnosis]:
    """Each micro-batch is averaged by itself; on one rank that is a micro-step as well."""
    if scenario.window.accumulation == 1:
        return []
    names = ("micro-batch", "micro-step") if scenario.window.ranks == 1 else ("micro-batch",)
    codes, kind = ("weights.mean-of-means",), "mean-of-means: micro-batch"
    return [Diagnosis("mean-of-means", "means", 1.0, codes, "", kind=kind, measured=names)]


def both(scenario: Scenario) -> list[Diagnosis]:
    return [*offload(scenario), *means(scenario)]


@dataclass
class Framework(World):
    """Counts what it runs."""

    wrong: Wrong = right
    ran: list[Scenario] = field(default_factory=list)
    of: dict[Path, Scenario] = field(default_factory=dict)

    def run(self, job: Job, timeout: float) -> Ran:
        self.ran.append(job.scenario)
        self.of[Path(job.trace)] = job.scenario
        return super().run(job, timeout)

    def judged(self, trace: Path) -> Judged:
        diagnoses = self.wrong(self.of[trace.absolute()])
        return Judged([Finding(code, "wrong") for d in diagnoses for code in d.codes], diagnoses)


@dataclass
class Watcher(world.Watcher):
    told_of: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    interrupt_at: int = 10**9

    def told(self, text: str) -> None:
        self.told_of.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    @property
    def found(self) -> list[str]:
        return [match[1] for text in self.told_of if (match := re.match(r"found ([^;]*);", text))]


@contextmanager
def _everything(environment: Environment) -> Iterator[Ask]:
    yield lambda scenario: None


def fuzz(
    wish: Wish, framework: Framework, entries: tuple[Entry, ...] = (), against: Framework | None = None,
    watcher: Watcher | None = None,
) -> Fuzz:  # fmt: skip
    """A whole search, or what is left of one."""
    watcher = watcher or Watcher()
    with _cells(wish, "cells", framework, watcher) as cells:
        if against is None:
            return Search(wish, cells, None, entries, watcher, lambda cause, so_far: f"# {cause.kind}").run()
        with _cells(wish, "against", against, watcher) as other:
            return Search(wish, cells, other, entries, watcher, lambda cause, so_far: "").run()


def _cells(wish: Wish, name: str, framework: Framework, watcher: Watcher) -> Cells:
    framework.judge = framework.judged
    cells = Cells(wish.request, framework.parts(), wish.work / name, watcher, 1, 60.0, wish.fault, _everything)
    cells.start()
    return cells

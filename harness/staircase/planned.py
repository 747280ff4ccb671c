"""Arms and seeds as a plan of cells: first their first steps alone, then the trainings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import Scenario
from adapters.contract import Training as Part
from harness.session.plan import Choice, Confinement, Plan
from harness.staircase import trainings
from harness.staircase.arms import Arm
from harness.staircase.trainings import Size
from harness.verdicts.verdict import CellRecord, Verdict

AGAIN = ".runs/staircase"
"""Where what is told to be run again is to be put."""


@dataclass(frozen=True)
class Training:
    """An arm with a seed."""

    arm: Arm
    seed: int
    whole: Scenario


@dataclass(frozen=True)
class Trainings:
    """Those of all arms."""

    size: Size
    every: tuple[Training, ...]

    @property
    def steps(self) -> int:
        """Optimizer steps of all of them."""
        return sum(one.whole.window.steps for one in self.every)

    def plan(self, part: Part, jobs: int, timeout: float, confinement: Confinement) -> Plan:
        """A cell for each."""
        cells = {one: (one.arm.request, choice(one)) for one in self.every}
        return Plan(
            requests=tuple(dict.fromkeys(request for request, _ in cells.values())),
            choices=tuple(dict.fromkeys(chosen for _, chosen in cells.values())),
            jobs=jobs,
            timeout=timeout,
            pairs=frozenset(cells.values()),
            confinement=confinement,
            training=part,
        )

    def writing(self) -> Callable[[Scenario, Path], None]:
        """What writes the checkpoint of a training, told by its first steps."""
        known = {first(one).hash: one.whole for one in self.every}
        return lambda scenario, folder: trainings.write(known[scenario.hash], folder)

    def cells(self, plan: Plan, verdict: Verdict) -> Mapping[Training, CellRecord]:
        """What came of each. A verdict has a plan's cells last, and in its order."""
        places = [(r, c) for r in plan.requests for c in plan.choices if plan.wants(r, c)]
        found = dict(zip(places, verdict.cells[-len(places) :], strict=True))
        return {one: found[one.arm.request, choice(one)] for one in self.every}


def every(arms: Sequence[Arm], seeds: Iterable[int], size: Size) -> Trainings:
    """Each arm with each seed."""
    made: dict[tuple[str, int], Scenario] = {}
    found = []
    for seed in seeds:
        for arm in arms:
            key = (arm.scenario, seed)
            if key not in made:
                made[key] = trainings.training(size, seed, arm.sharding, arm.hyper.changes if arm.hyper else None)
            found.append(Training(arm, seed, made[key]))
    return Trainings(size, tuple(found))


def first(one: Training) -> Scenario:
    """Its first steps."""
    return trainings.first_steps(one.whole, one.arm.scenario)


def choice(one: Training) -> Choice:
    """As a session takes it."""
    return Choice(one.arm.scenario, one.seed, first(one), fault=one.arm.fault, command=_command(one.arm))


def _command(arm: Arm) -> str:
    """What runs it, among others. Equal arms of runs with other seeds, sizes or beside other arms have equal ones."""
    return shlex.join(["lockstep", "staircase", *arm.command, "--out", AGAIN])

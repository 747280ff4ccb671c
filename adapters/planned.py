"""What a plan of the reference makes of a scenario's learning rates and groups. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

from adapters.contract import Group, Job, Optimizer, Scenario

Row = TypeVar("Row")


class Plan(Protocol):
    """What is asked of `adapters.faults.Plan`."""

    @property
    def schedule(self) -> str: ...

    @property
    def schedule_speed(self) -> str: ...

    @property
    def schedule_shift(self) -> int: ...

    @property
    def zero_first_step(self) -> bool: ...

    @property
    def one_rate(self) -> bool: ...

    @property
    def decay(self) -> Literal["right", "all", "matrices", "others"]: ...


def rates(scenario: Scenario, plan: Plan) -> list[float]:
    """The learning rate of every step as planned."""
    told = scenario.optimizer.schedule
    others: dict[str, dict[str, Any]] = {
        "right": {},
        "no-least": {"least": 0.0},
        "no-warmup": {"warmup_steps": 0, "warmup_ratio": 0.0},
        "from-first": {"warmup_from": "first"},
        "horizon-in-micro-batches": {
            "horizon": told.span(scenario.window.steps) * scenario.window.accumulation,
            "warmup_steps": told.warmup(scenario.window.steps),
            "warmup_ratio": 0.0,
        },
    }
    others["engine"] = {"warmup_shape": "log", "warmup_from": "zero", "decay": "none", "stable_steps": 0}
    shift = plan.schedule_shift - (plan.schedule == "engine")
    speed = {"1": 1, "GA": scenario.window.accumulation, "world": scenario.window.ranks}[plan.schedule_speed]
    used = replace(told, **others[plan.schedule])
    factors = [used.factor(step * speed + shift, scenario.window.steps) for step in range(scenario.window.steps)]
    if plan.zero_first_step:
        factors[0] = 0.0
    return [scenario.optimizer.learning_rate * factor for factor in factors]


def rule(told: Optimizer, plan: Plan) -> Optimizer:
    """The optimizer with rates and decay of its groups as planned."""
    if plan.one_rate:
        told = replace(told, groups=tuple(replace(group, rate=1.0) for group in told.groups))
    if plan.decay == "others":
        swapped = Group(("*norm*", "*.ln_*", "*bias"), weight_decay=told.weight_decay)
        return replace(told, weight_decay=0.0, groups=(*told.groups, swapped))
    return told if plan.decay == "right" else replace(told, decayed=plan.decay)


def moved_by(job: Job, how: str) -> int:
    """By how many steps a run that goes on is off: none if it is right, back to the first one, or too far."""
    first, epoch = job.steps.start, job.scenario.dealing.steps(1)
    return {"anew": -first, "skipping": 1, "an-epoch-on": epoch}.get(how, 0) if first else 0


def steps(job: Job, how: str) -> range:
    """Those of this part; a run that is an epoch too far does not come to the last ones."""
    lost = moved_by(job, how) if how == "an-epoch-on" else 0
    return job.steps[: max(len(job.steps) - lost, 0)]


def moved(rows: Sequence[Row], job: Job, how: str) -> Sequence[Row]:
    """The rows of a run that goes on from a checkpoint on fewer ranks as if its steps had been of those alone, if that
    is planned."""
    scenario, window = job.scenario, job.scenario.window
    if how != "by-new-window" or job.part != "after":
        return rows
    back = window.resume_after * (window.ranks - (window.resume_ranks or window.ranks))
    back *= window.accumulation * window.micro_batch_size * scenario.data.rows_per_sequence
    return [rows[place - back] for place in range(len(rows))]

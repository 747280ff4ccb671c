"""What a plan of the reference makes of a scenario's learning rates and groups. Standard library only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

from adapters.contract import Group, Optimizer, Scenario


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

"""What transformers calls its learning-rate schedules (`get_scheduler` in optimization.py)."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapters.contract import Optimizer, Scenario, Schedule

_STRETCHED = {"linear": "linear", "cosine": "cosine", "one-minus-sqrt": "1-sqrt"}
"""Shapes of `warmup_stable_decay`."""


class Named(NamedTuple):
    """`lr_scheduler_type` and `lr_scheduler_kwargs`."""

    name: str
    kwargs: dict[str, Any]


def rises_at_once(scenario: Scenario) -> bool:
    """Whether there is a warm-up from 1/W with nothing behind it, which adapters ask for in ways of their own."""
    told = scenario.optimizer.schedule
    return told.decay == "none" and told.warmup(scenario.window.steps) > 0 and told.warmup_from == "first"


def named(told: Schedule, rule: Optimizer, steps: int) -> Named | None:
    """The one that is the scenario's in a run of so many steps; None if none is.

    Most warm up from 0, so that their first step moves nothing. `cosine_warmup_with_min_lr` alone counts steps from 1:
    its warm-up starts at 1/W and its last step has the least rate. `warmup_stable_decay` rises from the rate that it
    falls to.
    """
    rises = told.warmup_from if told.warmup(steps) else "zero"
    if told.decay == "none":
        return {"zero": Named("constant_with_warmup" if told.warmup(steps) else "constant", {})}.get(rises)
    counted = (rises, told.least_at, bool(told.stable_steps))
    if counted == ("zero", "after", False) and told.decay in _FROM_ZERO:
        return _FROM_ZERO[told.decay](told, rule)
    at_once = told.least_at == "last" and not told.stable_steps and told.decay == "cosine"
    if at_once and (rises == "first" or not told.warmup(steps)):
        return Named("cosine_warmup_with_min_lr", {"min_lr_rate": told.least})
    from_least = rises == "least" or (rises == "zero" and not (told.least and told.warmup(steps)))
    if told.decay in _STRETCHED and told.least_at == "after" and from_least:
        falling = told.span(steps) - told.warmup(steps) - told.stable_steps
        return Named(
            "warmup_stable_decay",
            {
                "num_stable_steps": told.stable_steps,
                "num_decay_steps": falling,
                "decay_type": _STRETCHED[told.decay],
                "min_lr_ratio": told.least,
            },
        )
    return None


def _linear(told: Schedule, rule: Optimizer) -> Named:
    return _polynomial(told, rule) if told.least else Named("linear", {})


def _cosine(told: Schedule, rule: Optimizer) -> Named:
    return Named("cosine_with_min_lr", {"min_lr_rate": told.least}) if told.least else Named("cosine", {})


def _polynomial(told: Schedule, rule: Optimizer) -> Named:
    # without lr_end it falls to 1e-7
    return Named("polynomial", {"lr_end": told.least * rule.learning_rate, "power": told.power})


_FROM_ZERO = {"linear": _linear, "cosine": _cosine, "polynomial": _polynomial}

"""Tensors that an optimizer left out of a step, as no token touches them: experts that none is routed to.

torch leaves a parameter without a gradient out: it does not move by its momentum, nor decay, nor do its moments, and
Adam does not count the step for it. With a gradient of zeros all that goes on. A model that holds each expert by itself
does the one, and one that stacks the experts of a layer the other; both are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.intent.intent import Intent
from harness.judging.recorded_step import RecordedStep
from harness.oracle import whole
from harness.oracle.basis import flatten
from harness.oracle.step import RightStep


@dataclass(frozen=True)
class LeftOut:
    """What was left out of a step, and before it."""

    now: frozenset[str] = frozenset()
    """Tensors that stayed to the bit, state and all, that no token touches, and that a gradient of 0 would have
    changed."""
    counts: Mapping[str, range] = field(default_factory=dict)
    """By how many steps Adam's count of a tensor may be behind, by those before this one, where it may be. A step of
    zeros that changes nothing may be counted or not."""
    idle: frozenset[str] | None = None
    """All tensors that no token touches, where that was asked."""

    def out_of(self, step: RecordedStep) -> RecordedStep:
        """The step, of whose gradient these tensors have nothing, and whose moments tell nothing by them."""
        if not self.now:
            return step
        stays = {n: torch.full_like(s.before, n not in self.now) for n, s in step.states.items()}
        states = {n: replace(s, first_before=None, second_before=None) for n, s in step.states.items() if n in self.now}
        own, kept = step.moments, flatten(stays)
        moments = replace(
            own,
            first_before=own.first_before * kept,
            first=own.first * kept,
            second_before=own.second_before * kept,
            second=own.second * kept,
            decay=own.decay * kept,
        )
        return replace(step, states={**step.states, **states}, moments=moments)

    def without_gradient(self, right: RightStep, step: RecordedStep) -> frozenset[str]:
        """Tensors without any moment whose gradient is 0, and should be: they tell no rate."""
        silent = frozenset(name for name, state in step.states.items() if not bool(state.first.any()))
        if not silent:
            return silent
        return silent & (whole.idle(right, step.before.parameters) if self.idle is None else self.idle)


def by_step(steps: Sequence[RecordedStep], rights: Sequence[RightStep]) -> list[LeftOut]:
    """What was left out of each of these steps, all that the optimizer has made."""
    result, most, least = [], Counter[str](), Counter[str]()
    for step, right in zip(steps, rights, strict=True):
        stayed, idle = _stayed(step), None
        if stayed:
            idle = whole.idle(right, step.before.parameters)
            stayed &= idle
        now = frozenset(name for name in stayed if _changes(name, step, right))
        result.append(LeftOut(now, {name: range(least[name], most[name] + 1) for name in most}, idle))
        most.update(stayed)
        least.update(now)
    return result


def _stayed(step: RecordedStep) -> frozenset[str]:
    """Tensors that are the same to the bit after the step, with all that the optimizer holds of them."""
    before = step.before
    return frozenset(
        name
        for name, state in step.states.items()
        if torch.equal(state.before, state.after)
        and _same(before.second[name], state.second)
        and _same(before.first[name], state.first)
    )


def _same(before: Tensor, after: Tensor) -> bool:
    return torch.equal(before.double(), after)


def _changes(name: str, step: RecordedStep, right: RightStep) -> bool:
    """Whether a gradient of 0 changes a tensor or its moments."""
    intent, state = right.intent, step.states[name]
    held = state.second if intent.rule.holds_squares else state.first
    if bool(held.any()) and intent.rule.kept < 1.0:
        return True
    return bool(state.before.any()) and _decays(intent, name, right.update, state.unit)


def _decays(intent: Intent, name: str, update: int, unit: float) -> bool:
    """Whether decay is more than rounding of the parameters hides."""
    coupled = intent.decay_in_gradient(name)
    return coupled > 0.0 or intent.learning_rate(update, name) * intent.weight_decay(name) > unit

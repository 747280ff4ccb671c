"""Whether a run began with its checkpoint's parameters, and how they differ if it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adapters.contract import Scenario
from harness.intent.intent import Intent
from harness.oracle.step import DTYPES
from harness.traces.reader import Trace
from harness.verdicts.findings import Finding
from scenarios import weights

CODE = "state.initial"

How = Literal["decayed", "stepped", "factor", "rounded", "anew", "otherwise"]

ALIKE = 4.0
"""Units of the dtype that one factor for a whole tensor may leave of an element."""
ANEW = 0.5
"""Cosine with the checkpoint's tensor below which there is nothing left of it."""


@dataclass(frozen=True)
class Other:
    """A tensor that is not the checkpoint's."""

    name: str
    how: How
    factor: float
    """What the checkpoint's is multiplied by to be nearest."""
    distance: float
    """From the checkpoint's, over its length."""


def others(trace: Trace, intent: Intent) -> tuple[Other, ...]:
    """Every tensor of rank 0 before the first step that is not to the bit as the checkpoint has it. Where the model
    computes in a coarse dtype, a framework may load it in that, and make its master weights of it."""
    scenario, coarse = trace.scenario, DTYPES[trace.scenario.precision.compute]
    found = trace.state(0, "param")
    result = []
    for name, array in weights.initial(scenario.model, scenario.seed).items():
        right, mine = torch.from_numpy(array).double(), found[name].double()
        loaded = [right, right.to(coarse).double()]
        if not any(torch.equal(mine, one) for one in loaded):
            base = min(loaded, key=lambda one: _left(mine, one))
            unit = torch.finfo(found[name].dtype).eps
            stepped = _stepped(scenario, intent, name, base)
            result.append(_other(name, base, mine, unit, _decayed(scenario, intent, name), stepped))
    return tuple(result)


def findings(trace: Trace, intent: Intent) -> list[Finding]:
    """One for each way in which tensors differ."""
    found = others(trace, intent)
    return [_finding([o for o in found if o.how == how], len(trace.state(0, "param"))) for how in _ways(found)]


def _ways(found: Sequence[Other]) -> list[How]:
    return list(dict.fromkeys(other.how for other in found))


def _finding(alike: Sequence[Other], total: int) -> Finding:
    first = max(alike, key=lambda other: other.distance)
    factors = sorted({float(f"{other.factor:.6g}") for other in alike})
    factor = f"{factors[0]:.6g}" if len(factors) == 1 else f"{factors[0]:.6g} to {factors[-1]:.6g}"
    how = _HOW[first.how].format(factor=factor)
    return Finding(
        CODE,
        f"{len(alike)} of {total} tensors are not the checkpoint's before step 0: {how} ({first.name} most, by"
        f" {first.distance:.3g} of its length; expected to the bit)",
        step=0,
        tensor=first.name,
        observed=first.distance,
        expected=0.0,
        tolerance=0.0,
        detail={"how": first.how, "tensors": [other.name for other in alike], "factor": factor},
    )


_HOW: Mapping[How, str] = {
    "decayed": "they are {factor} times it, which is 1 - rate x decay",
    "stepped": "they are it after one step of the optimizer whose gradient is the decay alone",
    "factor": "they are {factor} times it",
    "rounded": "they are rounded to bfloat16",
    "anew": "nothing of it is left",
    "otherwise": "they are near it",
}


def _decayed(scenario: Scenario, intent: Intent, name: str) -> tuple[float, ...]:
    """What one decay before the training makes of a tensor, by the rate of the optimizer or that of the first step."""
    return tuple(1.0 - rate * intent.weight_decay(name) for rate in _rates(scenario, intent, name))


def _stepped(scenario: Scenario, intent: Intent, name: str, base: Tensor) -> tuple[Tensor, ...]:
    """What one step before the training makes of it, whose gradient is the decay alone, where only squares are held:
    each element moves as far, however small its decay is."""
    rule, pull = intent.rule, intent.decay_in_gradient(name) * base
    if not rule.holds_squares or not bool(pull.any()):
        return ()
    unit = pull / ((rule.added * pull.square()).sqrt() + rule.eps)
    return tuple(base - rate * unit for rate in _rates(scenario, intent, name))


def _rates(scenario: Scenario, intent: Intent, name: str) -> tuple[float, ...]:
    """That of the optimizer and that of the first step, of a tensor that is trained."""
    if not scenario.model.trains(name):
        return ()
    return intent.rule.learning_rate * intent.rate_factor(name), intent.learning_rate(0, name)


def _other(
    name: str, base: Tensor, mine: Tensor, unit: float, decayed: Sequence[float], stepped: Sequence[Tensor]
) -> Other:
    factor = float(mine.flatten() @ base.flatten() / (base.flatten() @ base.flatten()).clamp_min(1e-300))
    distance = float((mine - base).norm() / base.norm().clamp_min(1e-300))

    def other(how: How) -> Other:
        return Other(name, how, factor, distance)

    if torch.equal(mine, base.bfloat16().double()):
        return other("rounded")
    # In a coarse dtype what one decay leaves is within rounding of what was there: nothing tells it then.
    for one in decayed:
        if abs(factor - 1.0) > ALIKE * unit and _is_times(mine, base, one, unit):
            return other("decayed")
    if any(bool(((mine - one).abs() <= ALIKE * unit * torch.maximum(base.abs(), one.abs())).all()) for one in stepped):
        return other("stepped")
    if factor and _is_times(mine, base, factor, unit):
        return other("factor")
    size = float(mine.norm() * base.norm())
    cosine = float(mine.flatten() @ base.flatten()) / size if size else 0.0
    return other("anew" if cosine < ANEW else "otherwise")


def _is_times(mine: Tensor, base: Tensor, factor: float, unit: float) -> bool:
    return bool(((mine - factor * base).abs() <= ALIKE * unit * base.abs()).all())


def _left(mine: Tensor, base: Tensor) -> float:
    """What no factor explains."""
    size = float(base.flatten() @ base.flatten())
    factor = float(mine.flatten() @ base.flatten()) / size if size else 0.0
    return float((mine - factor * base).norm())

"""The intent that a run's own steps follow, for a trace whose intent nobody has said: its effective objective.

Only what an objective may be is taken over: which tokens are trained, how their losses are aggregated, clipping, rates
and decay. What no objective does (something dropped, doubled, untrained at the end) is left out, so that a run that is
held against its own effective intent still shows it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from adapters.contract import Scenario
from harness.intent.intent import Aggregation, Group, Intent, Mean, Rule, Sum, Trained
from harness.intent.schedule import Schedule
from harness.judging.evidence import StepEvidence
from harness.judging.recorded_step import RecordedStep
from harness.oracle import factors, levels
from harness.oracle.update import TensorUpdate, estimate

TRAINED: Mapping[str, Trained] = {"everything": "everything", "with-tag": "with-tag", "as-marked": "as-marked"}
"""Masks that somebody may want, beside the responses. Who leaves out an EOS or a first token has made a mistake."""

T = TypeVar("T")


def assumed(scenario: Scenario, steps: Sequence[RecordedStep]) -> Intent:
    """The least that must be assumed to weigh these steps: a mean over tokens, no clipping, AdamW with its usual betas
    and the rates that the parameters moved by. Of the scenario only the geometry is taken, which is what was run."""
    rule = Rule((Group(("*",)),))
    rates = [_moved(rule, step) for step in steps]
    base = max(rates, default=0.0) or rule.learning_rate
    return Intent(
        rule=replace(rule, learning_rate=base),
        steps=max(1, len(steps)),
        ranks=scenario.window.ranks,
        accumulation=scenario.window.accumulation,
        micro_batch_size=scenario.window.micro_batch_size,
        micro_batch_tokens=scenario.window.micro_batch_tokens,
        rows_per_sequence=scenario.data.rows_per_sequence,
        schedule=_schedule([rate / base for rate in rates]),
        precision=scenario.precision.compute,
    )


def _moved(rule: Rule, step: RecordedStep) -> float:
    """The rate in the middle of those that tensors moved by; 0 if none did."""
    return _rate([estimate(name, state, rule, step.number - step.skipped + 1) for name, state in step.states.items()])


def _rate(updates: Sequence[TensorUpdate]) -> float:
    middle = statistics.median([u.learning_rate for u in updates if u.learning_rate] or [0.0])
    return middle if 0.0 < middle <= 1e6 else 0.0


def _schedule(factors: Sequence[float]) -> Schedule:
    """A step that moved nothing has no rate that anybody wanted: that it has none is a finding."""
    return Schedule("given", factors=tuple(factor or 1.0 for factor in factors)) if factors else Schedule()


def followed(evidence: Sequence[StepEvidence], base: Intent) -> Intent:
    """The effective intent of steps that were weighed under `base`, what `assumed` says."""
    if not evidence:
        return base
    fitting = [e for e in evidence if e.fit.excess <= 1.0]
    mask = _commonest(e.fit.hypothesis.mask for e in fitting)
    limit = _limit(fitting)
    rates = [_rate(e.update.explained) for e in evidence]
    rule = replace(_rule(evidence), learning_rate=max(rates) or base.rule.learning_rate)
    return replace(
        base,
        trained=TRAINED.get(mask or "", "responses"),
        aggregation=_aggregation(fitting, limit),
        max_grad_norm=limit,
        rule=rule,
        schedule=_schedule([rate / rule.learning_rate for rate in rates]),
    )


def _commonest(values: Iterable[T]) -> T | None:
    found = Counter(values).most_common(1)
    return found[0][0] if found else None


def _agreed(values: Sequence[float], allowed: float) -> float | None:
    """The middle of numbers that are alike within a relative distance; None if they are not, or if there is none."""
    if not values:
        return None
    middle = statistics.median(values)
    return middle if all(abs(value / middle - 1) <= allowed for value in values) else None


def _limit(fitting: Sequence[StepEvidence]) -> float | None:
    """What the gradient is clipped to: a number that somebody would choose, or the norm that several steps end with."""
    chosen = [e.fit.hypothesis.limit for e in fitting if e.fit.hypothesis.limit is not None]
    if chosen:
        return max(chosen)
    scaled = [
        e for e in fitting if e.fit.hypothesis.scale.name == factors.UNNAMED and e.fit.hypothesis.scale.factor < 1
    ]
    if len(scaled) < 2:
        return None
    found = _agreed([e.norm_used for e in scaled], max(e.floor.tolerance("norm") for e in scaled))
    return None if found is None else float(f"{found:.6g}")


def _aggregation(fitting: Sequence[StepEvidence], limit: float | None) -> Aggregation:
    level = _commonest(e.fit.hypothesis.level for e in fitting)
    if level not in (None, levels.INTENDED):
        return Mean(level)
    constant = _constant([divisor for e in fitting if (divisor := _divisor(e, limit)) is not None], fitting)
    return Mean("token") if constant is None else Sum(constant)


def _divisor(e: StepEvidence, limit: float | None) -> float | None:
    """What the sum of the tokens' losses seems to be divided by, if that is not the number of tokens, and no factor
    that trainers are known to get wrong makes it.

    Clipping hides it; then the reported norm tells.
    """
    scale, told = e.fit.hypothesis.scale, e.recorded.reported.grad_norm
    if e.fit.hypothesis.clip == "other" and told is not None and told > 0:
        factor = told / e.fit.norm
        if abs(factor - 1) <= e.floor.tolerance("norm") or _known(e, factor):
            return None
        return e.right.targets / factor
    if scale.name == factors.UNNAMED and limit is None:
        return e.right.targets / scale.factor
    if scale.name in factors.DIVISORS:
        return e.right.targets / scale.factor
    return None


def _known(e: StepEvidence, factor: float) -> bool:
    known = [scale.factor for scale in factors.named_factors(e.right) if scale.name not in factors.DIVISORS]
    return any(abs(factor / one - 1) <= e.floor.tolerance("norm") for one in known)


def _constant(divisors: Sequence[float], fitting: Sequence[StepEvidence]) -> float | None:
    """A divisor that all steps have, and that is a whole number if there is one step only."""
    if len(divisors) < len(fitting):
        return None
    allowed = max((max(e.floor.tolerance("row"), e.floor.tolerance("norm")) for e in fitting), default=0.0)
    found = _agreed(divisors, allowed)
    if found is None:
        return None
    whole = float(round(found))
    if whole and abs(found / whole - 1) <= allowed:
        return whole
    return float(f"{found:.6g}") if len(divisors) > 1 else None


def _rule(evidence: Sequence[StepEvidence]) -> Rule:
    """Betas as the moments follow them, eps if another explains the updates, decay of each tensor as it was."""
    used = evidence[0].used
    eps = next((e.update.eps for e in evidence if e.update.eps is not None), used.eps)
    return replace(used, groups=_groups(evidence), eps=min(max(eps, 1e-30), 0.5))


def _groups(evidence: Sequence[StepEvidence]) -> tuple[Group, ...]:
    """Tensors by their decay: the middle one over the steps, none where it is none within its noise."""
    found: dict[str, list[TensorUpdate]] = {}
    for e in evidence:
        for update in e.update.explained:
            if update.learning_rate:
                found.setdefault(update.tensor, []).append(update)
    decays: dict[float, list[str]] = {}
    for tensor in evidence[0].recorded.states:
        decays.setdefault(_decay(found.get(tensor, [])), []).append(tensor)
    return tuple(Group(tuple(names), decay) for decay, names in sorted(decays.items(), reverse=True))


def _decay(updates: Sequence[TensorUpdate]) -> float:
    """In two digits, as somebody would choose it, if that is as good as the number itself."""
    if not updates:
        return 0.0
    best = min(updates, key=lambda u: u.decay_error)
    if best.weight_decay <= max(5 * best.decay_error, best.decay_bound):
        return 0.0
    return min(float(f"{best.weight_decay:.2g}"), 1e6)

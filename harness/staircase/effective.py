"""The hyperparameters that arms train with, recovered from what their first steps did, and held against each other."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.judging import judge
from harness.judging.evidence import StepEvidence
from harness.staircase.record import DifferenceRecord


@dataclass(frozen=True)
class Effective:
    """Of the first steps of one arm; nothing of it is read from a configuration."""

    rows: int
    """Of a step, as the model received them."""
    tokens: tuple[int, ...]
    """Trained tokens, step by step."""
    rates: tuple[float, ...]
    """By which parameters moved."""
    off: float
    """How far two rates may be apart, as a share of the highest."""
    decay: float
    beta1: float
    beta2: float
    eps: float

    @property
    def told(self) -> tuple[str, ...]:
        rates = ", ".join(f"{rate:.3g}" for rate in self.rates)
        return (
            f"{self.rows} rows a step, of which {', '.join(map(str, self.tokens))} tokens are trained",
            f"learning rate {rates} in the first steps",
            f"AdamW with beta1 {self.beta1:.4g}, beta2 {self.beta2:.4g}, eps {self.eps:.1g} and decay {self.decay:.2g}",
        )


def of(trace: Path) -> Effective | None:
    """None where nothing could be recovered."""
    steps = judge.describe(trace).steps
    if not steps:
        return None
    rule = steps[0].right.intent.rule
    return Effective(
        rows=len(steps[0].right.conversations),
        tokens=tuple(step.right.targets for step in steps),
        rates=tuple(_rate(step) for step in steps),
        off=2 * max(step.floor.tolerance("learning_rate") for step in steps),
        decay=max(group.weight_decay for group in rule.groups),
        beta1=rule.beta1,
        beta2=rule.beta2,
        eps=rule.eps,
    )


def _rate(step: StepEvidence) -> float:
    return statistics.median([update.learning_rate for update in step.update.told] or [0.0])


def differences(found: Mapping[str, Effective]) -> list[DifferenceRecord]:
    """What arms have otherwise than the first one, by their labels."""
    labels = list(found)
    return [
        DifferenceRecord(what=what, arm=label, has=has, reference=labels[0], wanted=wanted)
        for label in labels[1:]
        for what, has, wanted in _apart(found[label], found[labels[0]])
    ]


def _apart(one: Effective, other: Effective) -> Iterator[tuple[str, str, str]]:
    for what, has, wanted in (
        ("rows a step", one.rows, other.rows),
        ("trained tokens of the first steps", one.tokens, other.tokens),
        ("weight decay", one.decay, other.decay),
        ("beta1", one.beta1, other.beta1),
        ("beta2", one.beta2, other.beta2),
        ("eps", one.eps, other.eps),
    ):
        if has != wanted:
            yield what, str(has), str(wanted)
    allowed = max(one.off, other.off) * max(*one.rates, *other.rates)
    if any(abs(a - b) > allowed for a, b in zip(one.rates, other.rates, strict=False)):
        yield "learning rate of the first steps", str(one.rates), str(other.rates)

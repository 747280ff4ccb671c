"""The hyperparameters that arms train with, recovered from what their first steps did, and held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.staircase.record import DifferenceRecord
from harness.staircase.trainings import OPTIMIZER
from harness.traces import recovered_numbers
from harness.verdicts.verdict import CellRecord

RULE = "update."
"""What codes of findings about betas, eps and decay begin with."""
RATE = "update.learning-rate"


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
    found: tuple[str, ...] = ()
    """Where moments and parameters do not follow the rule that all arms are to have, in sentences."""

    @property
    def told(self) -> tuple[str, ...]:
        rates = ", ".join(f"{rate:.3g}" for rate in self.rates)
        rule = f"beta1 {OPTIMIZER.beta1:g}, beta2 {OPTIMIZER.beta2:g}, eps {OPTIMIZER.eps:g}, decay"
        return (
            f"{self.rows} rows a step, of which {', '.join(map(str, self.tokens))} tokens are trained",
            f"learning rate {rates} in the first steps",
            *(self.found or (f"moments and parameters follow AdamW with {rule} {OPTIMIZER.weight_decay:g}",)),
        )


def of(trace: Path, cell: CellRecord) -> Effective | None:
    """Of a cell that was judged, whose trace that is; None where nothing could be recovered."""
    steps = recovered_numbers.read(trace)
    if not steps:
        return None
    return Effective(
        rows=len(steps[0].conversations),
        tokens=tuple(step.targets for step in steps),
        rates=tuple(step.learning_rate.recovered or 0.0 for step in steps),
        off=2 * max(step.learning_rate.tolerance for step in steps),
        found=tuple(f.message for f in cell.findings if f.code.startswith(RULE) and f.code != RATE),
    )


def differences(found: Mapping[str, Effective]) -> list[DifferenceRecord]:
    """What arms have otherwise than the first one, by their labels."""
    labels = list(found)
    return [
        DifferenceRecord(what=what, arm=label, has=has, reference=labels[0], wanted=wanted)
        for label in labels[1:]
        for what, has, wanted in _apart(found[label], found[labels[0]])
    ]


def _apart(one: Effective, other: Effective) -> Iterator[tuple[str, str, str]]:
    for what, has, wanted in (("rows a step", one.rows, other.rows), ("trained tokens", one.tokens, other.tokens)):
        if has != wanted:
            yield what, str(has), str(wanted)
    allowed = max(one.off, other.off) * max(*one.rates, *other.rates)
    if any(abs(a - b) > allowed for a, b in zip(one.rates, other.rates, strict=False)):
        yield "learning rate", str(one.rates), str(other.rates)
    if one.found != other.found:
        yield "update rule", "; ".join(one.found) or "the right one", "; ".join(other.found) or "the right one"

"""Are the numbers that the framework reports the right ones?"""

from __future__ import annotations

import math
import statistics

from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Finding

SOURCE = "floor of this step x margin"


def _compare(
    evidence: StepEvidence, code: str, what: str, got: float | None, right: float, allowed: float
) -> list[Finding]:
    if got is None or (math.isfinite(got) and abs(got / right - 1) <= allowed):
        return []
    return [
        Finding(
            code,
            f"reported {what} at step {evidence.step} is {got:.6g}, expected {right:.6g}"
            f" (ratio {got / right:.6g}, allowed 1 +- {allowed:.1g})",
            step=evidence.step,
            observed=got,
            expected=right,
            tolerance=allowed,
            tolerance_source=SOURCE,
        )
    ]


def loss(evidence: StepEvidence) -> list[Finding]:
    """`loss.value`: the reported loss against the mean over the trained tokens of the global batch."""
    got = evidence.recorded.reported.loss if evidence.recorded.reported else None
    return _compare(evidence, "loss.value", "loss", got, evidence.loss_right, evidence.floor.tolerance("loss"))


def grad_norm(evidence: StepEvidence) -> list[Finding]:
    """`grad-norm.value`: the reported norm against that of the right gradient before clipping."""
    got = evidence.recorded.reported.grad_norm if evidence.recorded.reported else None
    return _compare(
        evidence, "grad-norm.value", "gradient norm", got, evidence.norm_right, evidence.floor.tolerance("norm")
    )


def learning_rate(evidence: StepEvidence) -> list[Finding]:
    """`learning-rate.value`: the reported rate against the one that the parameters moved with, right or wrong."""
    got = evidence.recorded.reported.learning_rate if evidence.recorded.reported else None
    moved = statistics.median(u.learning_rate for u in evidence.update.explained)
    allowed = evidence.floor.tolerance("learning_rate")
    if got is None or abs(got - moved) <= allowed * evidence.expected_learning_rate:
        return []
    return [
        Finding(
            "learning-rate.value",
            f"reported learning rate at step {evidence.step} is {got:.6g}, but the parameters moved with {moved:.6g}"
            f" (allowed {allowed:.1g} of the schedule's)",
            step=evidence.step,
            observed=got,
            expected=moved,
            tolerance=allowed,
            tolerance_source=SOURCE,
        )
    ]

"""Are the numbers that the framework reports the right ones?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from harness.judging.evidence import StepEvidence
from harness.traces.text_files import Reported
from harness.verdicts import questions
from harness.verdicts.findings import Finding

SOURCE = "floor of this step x margin"


def _first_wrong(
    evidence: StepEvidence, told: Callable[[Reported], float | None], right: Callable[[float], bool]
) -> tuple[str, int | None, float] | None:
    """The first rank that told a wrong number, in words and for the finding, and the number. Most frameworks tell every
    rank's log the same; one that tells rank 0's alone leaves the others out."""
    for rank, line in enumerate(evidence.recorded.told):
        got = told(line)
        if got is not None and not right(got):
            return (f" of rank {rank}", rank, got) if rank else ("", None, got)
    return None


def _compare(
    evidence: StepEvidence, code: str, what: str, told: Callable[[Reported], float | None], right: float, allowed: float
) -> list[Finding]:
    wrong = _first_wrong(evidence, told, lambda got: math.isfinite(got) and abs(got / right - 1) <= allowed)
    if wrong is None:
        return []
    of_rank, rank, got = wrong
    return [
        Finding(
            code,
            f"reported {what}{of_rank} at step {evidence.step} is {got:.6g}, expected {right:.6g}"
            f" (ratio {got / right:.6g}, allowed 1 +- {allowed:.1g})",
            step=evidence.step,
            rank=rank,
            observed=got,
            expected=right,
            tolerance=allowed,
            tolerance_source=SOURCE,
        )
    ]


def loss(evidence: StepEvidence) -> list[Finding]:
    """`loss.value`: the reported loss against the mean over the trained tokens of the global batch, or what the
    objective makes of them."""
    allowed = evidence.floor.tolerance("loss")
    if evidence.right.logps is not None:
        return _loss_of_objective(evidence, allowed * evidence.right.loss_size)
    return _compare(evidence, "loss.value", "loss", lambda line: line.loss, evidence.loss_right, allowed)


def _loss_of_objective(evidence: StepEvidence, allowed: float) -> list[Finding]:
    """It may be next to nothing, so that no ratio is told."""
    right = evidence.loss_right
    wrong = _first_wrong(evidence, lambda line: line.loss, lambda got: abs(got - right) <= allowed)
    if wrong is None:
        return []
    of_rank, rank, got = wrong
    said = (
        f"reported loss{of_rank} at step {evidence.step} is {got:.6g}, expected {right:.6g} (allowed +- {allowed:.1g})"
    )
    return [Finding("loss.value", said, evidence.step, rank, None, None, got, right, allowed, SOURCE)]


def grad_norm(evidence: StepEvidence) -> list[Finding]:
    """`grad-norm.value`: the reported norm against that of the right gradient before clipping.

    Where that is not known, against that of the tokens as they are weighed, if anything explains their weights.
    """
    allowed, right = evidence.floor.tolerance("norm"), evidence.norm_right
    if questions.NORM in evidence.open:
        if not evidence.fit.excess <= 1.0 or evidence.fit.hypothesis.clip == "per-rank":
            return []
        right = evidence.fit.norm
    return _compare(evidence, "grad-norm.value", "gradient norm", lambda line: line.grad_norm, right, allowed)


def learning_rate(evidence: StepEvidence) -> list[Finding]:
    """`learning-rate.value`: the reported rate against the one that the parameters moved with, right or wrong."""
    intent = evidence.right.intent
    # What did not move at all, while others did, had no gradient: no rate is told by it.
    updates = [u for u in evidence.update.told if u.learning_rate] or evidence.update.explained
    moved = statistics.median(u.learning_rate / intent.rate_factor(u.tensor) for u in updates)
    # The rate itself, too: where groups have not the rates that they should, a log may still tell what most had.
    told = (moved, statistics.median(u.learning_rate for u in updates))
    allowed = evidence.floor.tolerance("learning_rate")
    wrong = _first_wrong(
        evidence,
        lambda line: line.learning_rate,
        lambda got: any(abs(got - one) <= allowed * (evidence.scheduled_rate or abs(one)) for one in told),
    )
    if wrong is None:
        return []
    of_rank, rank, got = wrong
    return [
        Finding(
            "learning-rate.value",
            f"reported learning rate{of_rank} at step {evidence.step} is {got:.6g}, but the parameters moved with"
            f" {moved:.6g} (allowed {allowed:.1g} of the schedule's)",
            step=evidence.step,
            rank=rank,
            observed=got,
            expected=moved,
            tolerance=allowed,
            tolerance_source=SOURCE,
        )
    ]

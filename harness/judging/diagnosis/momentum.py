"""Causes that stand in SGD's momentum, which gradient and decay are added to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.judging.diagnosis.wording import of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding

NONE = 1e-3
"""Share of a momentum, or of a decay, that is next to nothing."""


@dataclass(frozen=True)
class Momentum:
    """A cause, and what else is found that follows from it."""

    diagnosis: Diagnosis
    codes: frozenset[str]

    def claims(self, finding: Finding) -> bool:
        return finding.code in self.codes


def found(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Momentum | None:
    """The first cause that holds; None if there is none, or the optimizer is not SGD."""
    if not evidence or evidence[0].right.intent.rule.name != "sgd":
        return None
    return _dampened(evidence, findings) or _decoupled(evidence, findings) or _share(evidence, findings)


def _dampened(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Momentum | None:
    """All that is added to a momentum is multiplied by one number, but for the first, which is taken as it is."""
    later = [e for e in evidence if bool(e.recorded.moments.first_before.any())]
    first = [e for e in evidence if e not in later]
    codes = frozenset({"weights.scale", "update.clip", "update.weight-decay", "grad-norm.value"})
    own = [f for f in of_codes(findings, "weights.scale", "update.clip") if f.step in [e.step for e in later]]
    if not own or not first or any(f.step in [e.step for e in first] and f.code in codes for f in findings):
        return None
    shares = [_size(e) for e in later]
    alike = all(
        abs(share / shares[0] - 1) <= 2 * e.floor.tolerance("row") for share, e in zip(shares, later, strict=True)
    )
    if not alike or not 0 < shares[0] < 1 or any(e.fit.excess > 1.0 for e in later):
        return None
    sentence = (
        f"SGD dampens its gradient: {shares[0]:.4g} of it is added to the momentum from the second step on, and all of"
        " it should be"
    )
    return Momentum(_named("dampened", sentence, own[0]), codes)


def _size(e: StepEvidence) -> float:
    """Length of the gradient that is in the momentum, over that of the right one."""
    return e.norm_used / (e.right.clip * e.right.norm)


def _decoupled(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Momentum | None:
    own = of_codes(findings, "update.weight-decay")
    missing = [
        f for f in own if f.detail.get("coupled") and abs(float(f.observed or 0.0)) < NONE * float(f.expected or 0.0)
    ]
    alone = [f for f in own if not f.detail.get("coupled") and not f.expected]
    if not missing or not alone:
        return None
    sentence = (
        "SGD decays the parameters by themselves, as AdamW does, and should decay them by way of the gradient, where"
        " the momentum gathers it"
    )
    told = Diagnosis(
        "weight-decay", sentence, 1.0, ("update.weight-decay",), own[0].message, kind="weight-decay: decoupled"
    )
    return Momentum(told, frozenset({"update.weight-decay"}))


def _share(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Momentum | None:
    own = of_codes(findings, "update.moments")
    kept = [f for f in own if f.detail["what"] == "momentum"]
    if any(f.detail["what"] == "nesterov" for f in own):
        sentence = "SGD moves the parameters as Nesterov has it, by its momentum one step ahead"
        return Momentum(_named("nesterov", sentence, own[0]), frozenset({"update.moments"}))
    if not kept:
        return None
    if all(abs(float(f.observed or 0.0)) < NONE for f in kept):
        sentence = "SGD forgets its momentum between steps: each begins with none"
        return Momentum(_named("forgotten", sentence, kept[0]), frozenset({"update.moments"}))
    sentence = f"SGD keeps {kept[0].observed:.4g} of its momentum in a step, and should keep {kept[0].expected:g}"
    return Momentum(_named("momentum", sentence, kept[0]), frozenset({"update.moments"}))


def _named(what: str, sentence: str, finding: Finding) -> Diagnosis:
    cause = "optimizer-moments"
    return Diagnosis(cause, sentence, 1.0, (finding.code,), finding.message, kind=f"{cause}: {what}")

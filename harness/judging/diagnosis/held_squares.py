"""Causes that stand in the squares of gradients, where an optimizer holds nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.diagnosis.momentum import NONE, Momentum
from harness.judging.diagnosis.wording import of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding


def found(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Momentum | None:
    """The cause that stands in what a step keeps of them; None if there is none, or the optimizer holds more."""
    if not evidence or not evidence[0].intent.rule.holds_squares:
        return None
    own = of_codes(findings, "update.moments")
    kept = [f for f in own if f.detail["what"] in ("share of squares", "alpha")]
    if not kept:
        return None
    telling, name = kept[0], evidence[0].intent.rule.name
    if all(abs(float(f.observed or 0.0)) < NONE for f in kept):
        what, sentence = (
            "squares forgotten",
            f"{_TITLES[name]} forgets its squares between steps: each begins with none",
        )
    elif name == "rmsprop":
        what = "alpha"
        sentence = f"RMSprop runs with alpha = {telling.observed:.4g}, and should with {telling.expected:g}"
    else:
        what = "squares kept"
        sentence = f"Adagrad keeps {telling.observed:.4g} of its squares in a step, and should keep all of them"
    cause = "optimizer-moments"
    told = Diagnosis(cause, sentence, 1.0, (telling.code,), telling.message, kind=f"{cause}: {what}")
    return Momentum(told, frozenset({"update.moments"}))


_TITLES = {"adagrad": "Adagrad", "rmsprop": "RMSprop"}

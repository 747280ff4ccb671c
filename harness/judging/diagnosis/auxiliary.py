"""Why the load-balancing loss of the router weighs something else than it should."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.auxiliary_weight import MISSING, AuxiliaryWeight, auxiliary_weight
from harness.judging.diagnosis.weights import names, short
from harness.judging.diagnosis.wording import at_steps, fraction, of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle.factors import UNIT
from harness.verdicts.findings import Diagnosis, Finding

CODE = "weights.auxiliary"
BY_TOKENS = "by tokens"

SUMMED = {
    "gradient_accumulation_steps": "it is added up over the micro-batches instead of averaged",
    "world size": "it is added up over the ranks instead of averaged",
    "gradient_accumulation_steps x world size": "it is added up over micro-batches and ranks instead of averaged",
}
"""What a factor comes from, by its name."""


def diagnoses(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    """One at most, by the first step at which it is wrong."""
    wrong = of_codes(findings, CODE)
    if not wrong:
        return []
    first = next(e for e in evidence if e.step == wrong[0].step)
    found = auxiliary_weight(first)
    if found is None:
        return []
    line = f"{wrong[0].message}; {at_steps([f.step for f in wrong], len(evidence))}"
    if not found.fits:
        sentence = "the auxiliary loss of the router is weighed in a way that no known cause makes"
        return [Diagnosis("auxiliary-loss", sentence, 0.0, (CODE,), line, kind="auxiliary-loss: uneven")]
    telling, sentence = _telling(found), _sentence(found)
    measured = (telling,) if found.by_tokens or found.scale == MISSING else names(first, found.scale)
    kind = f"auxiliary-loss: {telling}"
    return [Diagnosis("auxiliary-loss", sentence, 1.0, (CODE,), line, kind=kind, measured=measured)]


def _telling(found: AuxiliaryWeight) -> str:
    if found.scale == MISSING:
        return "missing"
    parts = [BY_TOKENS] if found.by_tokens else []
    return " x ".join([*parts, *([short(found.scale)] if found.scale != UNIT else [])])


def _sentence(found: AuxiliaryWeight) -> str:
    if found.scale == MISSING:
        return "the auxiliary loss of the router never reached the optimizer: nothing keeps its experts evenly in use"
    counted = "the auxiliary loss of the router counts by the trained tokens of each forward pass, not each pass alike"
    if found.scale == UNIT:
        return counted
    how = f": {SUMMED[found.scale.name]}" if found.scale.name in SUMMED else f" ({found.scale.name})"
    scaled = f"{fraction(found.scale.factor)} times what it should be{how}"
    return f"{counted}, and is {scaled}" if found.by_tokens else f"the auxiliary loss of the router is {scaled}"

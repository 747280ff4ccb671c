"""Did the load-balancing loss of the router get the weight that it should?"""

from __future__ import annotations

from harness.judging.auxiliary_weight import MISSING, AuxiliaryWeight, auxiliary_weight
from harness.judging.evidence import StepEvidence
from harness.oracle.factors import UNNAMED
from harness.verdicts.findings import Finding

SOURCE = "floor of this step x margin"

TELLS_NOTHING = 0.5
"""A weight that is known no better than to this share of itself may as well be missing."""


def auxiliary(evidence: StepEvidence) -> list[Finding]:
    """`weights.auxiliary`: that of every forward pass, against the coefficient over the number of passes."""
    found, allowed = auxiliary_weight(evidence), evidence.floor.tolerance("auxiliary")
    if found is None:
        return []
    if not allowed < TELLS_NOTHING:
        message = (
            f"what the auxiliary loss weighs at step {evidence.step} cannot be told: rounding alone moves it by"
            f" {allowed:.2g} of the right weight"
        )
        return [Finding("run.incomplete", message, step=evidence.step)]
    # Where tokens and terms do not explain the gradient, `residual` says so, and their weights mean nothing.
    if found.right or evidence.residual > evidence.floor.tolerance("residual"):
        return []
    return [_wrong(evidence, found, allowed)]


def _wrong(evidence: StepEvidence, found: AuxiliaryWeight, allowed: float) -> Finding:
    each = evidence.right.terms.right[0].item()
    low, high = (float(v) * each for v in (found.factors.min(), found.factors.max()))
    return Finding(
        "weights.auxiliary",
        f"the auxiliary loss at step {evidence.step} {_said(found)}: before clipping its weight in {len(found.factors)}"
        f" forward passes is {low:.6g} to {high:.6g}, expected {each:.6g} in each (allowed {allowed:.1g} relative)",
        step=evidence.step,
        observed=float(found.factors.mean()),
        expected=1.0,
        tolerance=allowed,
        tolerance_source=SOURCE,
        detail={"factor": found.scale.factor, "equals": found.scale.name, "by_tokens": found.by_tokens},
    )


def _said(found: AuxiliaryWeight) -> str:
    if not found.fits:
        return "is weighed in a way that no known cause makes"
    if found.scale == MISSING:
        return "never reached the optimizer"
    counted = "counts by the trained tokens of each forward pass" if found.by_tokens else ""
    size = f"is {found.scale.factor:.6g} times what it should be"
    named = size if found.scale.name == UNNAMED else f"{size} ({found.scale.name})"
    return " and ".join(part for part in (counted, named if found.scale.factor != 1.0 else "") if part)

"""Were gradients reduced over the ranks in the dtype that is asked for?"""

from __future__ import annotations

from harness.judging import reduced_in
from harness.judging.evidence import StepEvidence
from harness.judging.reduced_in import MOST, NEAR
from harness.verdicts.findings import Finding

WORDS = {"bf16": "bfloat16", "fp32": "float32"}


def reduction(evidence: StepEvidence) -> list[Finding]:
    """`numerics.dtype`: before clipping, the gradient is made of numbers of bfloat16, though it is to be a sum in
    float32, or the other way round."""
    if not reduced_in.asked(evidence.right, evidence.recorded):
        return []
    told, wanted = reduced_in.told(evidence.recorded, evidence.right, evidence.used), evidence.intent.reduction
    if told.dtype in (None, wanted):
        return []
    return [
        Finding(
            "numerics.dtype",
            f"{told.share:.3g} of the gradient's elements at step {evidence.step} are numbers of bfloat16 before"
            f" clipping: it was reduced over the ranks in {WORDS[told.dtype]}, and should be in {WORDS[wanted]}",
            step=evidence.step,
            observed=told.share,
            expected=NEAR if wanted == "fp32" else 1.0,
            tolerance=MOST,
            tolerance_source="share of numbers that are near to those of bfloat16 by chance, and nearly all",
            detail={"what": "reduction", "in": told.dtype},
        )
    ]

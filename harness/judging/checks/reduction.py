"""Were gradients reduced over the ranks in the dtype that is asked for?"""

from __future__ import annotations

import torch

from harness.judging.evidence import StepEvidence
from harness.oracle.clipping import clip_coefficient
from harness.oracle.observe import gradient
from harness.verdicts.findings import Finding

NEAR = 0.02
"""Of half a unit of bfloat16: how far an element may be from a number of it. Of any elements, so many are so."""
MOST = 0.9
"""Share of elements that are so near where all were rounded. A sum in float32 is that where one part alone
is not 0, as in an embedding's rows; those are less."""


def reduction(evidence: StepEvidence) -> list[Finding]:
    """`numerics.dtype`: the gradient, before it was clipped, is made of numbers of bfloat16, though it is to be a sum
    in float32. Asked of the first step alone, whose moments are of one gradient."""
    moments, intent = evidence.recorded.moments, evidence.right.intent
    if intent.reduction != "fp32" or intent.ranks < 2 or bool(moments.first_before.any()):
        return []
    told = evidence.recorded.reported.grad_norm
    if intent.max_grad_norm is not None and told is None:
        return []
    clip = 1.0 if told is None else clip_coefficient(told, intent.max_grad_norm)
    share = _rounded(gradient(moments, evidence.used.kept) / clip)
    if share < MOST:
        return []
    return [
        Finding(
            "numerics.dtype",
            f"{share:.3g} of the gradient's elements at step {evidence.step} are numbers of bfloat16 before clipping:"
            " it was reduced over the ranks in that, and should be in float32",
            step=evidence.step,
            observed=share,
            expected=NEAR,
            tolerance=MOST,
            tolerance_source="share of numbers that are near to those of bfloat16 by chance, and nearly all",
            detail={"what": "reduction"},
        )
    ]


def _rounded(values: torch.Tensor) -> float:
    """Share of the elements of a float64 [n] that are next to a number of bfloat16; of those that are not 0."""
    some = values[values != 0]
    if not len(some):
        return 0.0
    off = (some - some.to(torch.bfloat16).double()).abs()
    half = torch.exp2(torch.floor(torch.log2(some.abs())) - 8)
    return float((off <= NEAR * half).double().mean())

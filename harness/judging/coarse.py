"""Whether bfloat16 arithmetic explains what is off in a run that asks for a finer dtype."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.judging.evidence import StepEvidence
from harness.oracle import floor, hypotheses
from harness.oracle.floor import Floor
from harness.oracle.weighing import weighing

ROUNDING = 0.03
"""Share of a gradient that bfloat16 may leave unexplained: some thousandths, times the margin of floors. Where tokens
are routed to experts its floor is higher, for some are routed otherwise; but that would explain anything."""


FEW = 1e-3
"""Share of the entries of a gradient that never holds most of what rounding leaves, which is everywhere."""


def explaining_floor(evidence: StepEvidence) -> Floor | None:
    """The floor that bfloat16 would have, if all that is off is within it: residual, weights and reported numbers.

    None in a run that asks for bfloat16, and where something else is off, such as the model. It simulates the step
    anew, so it is slow.
    """
    if evidence.right.intent.precision == "bf16" or evidence.other_model is not None:
        return None
    if evidence.residual > ROUNDING or _in_one_place(evidence.observed.rest):
        return None
    coarse = floor.measure(evidence.right, evidence.recorded.before, torch.bfloat16)
    if evidence.residual > coarse.tolerance("residual"):
        return None
    w = weighing(evidence.right, coarse, evidence.observed.terms)
    fit = hypotheses.compare(w, evidence.fit.hypothesis, evidence.observed.weights, coarse)
    return coarse if fit.excess <= 1.0 and _reports_fit(evidence, coarse) else None


def _in_one_place(rest: Tensor) -> bool:
    """Whether more than half of what is left, as a sum of squares, is in a few entries, such as a frozen row's."""
    squares = rest.square()
    few = squares.topk(max(1, int(FEW * len(squares)))).values.sum()
    return bool(few > 0.5 * squares.sum())


def _reports_fit(evidence: StepEvidence, coarse: Floor) -> bool:
    told = evidence.recorded.reported
    pairs = ((told.loss, evidence.loss_right, "loss"), (told.grad_norm, evidence.fit.norm, "norm"))
    return all(got is None or abs(got / right - 1) <= coarse.tolerance(name) for got, right, name in pairs)

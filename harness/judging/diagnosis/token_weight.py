"""Whether weights that fit no other cause are those of a loss that is weighed by each token's own probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.judging.evidence import StepEvidence
from harness.oracle import tail_basis
from harness.oracle.architectures import FORWARD
from harness.oracle.basis import segment
from harness.oracle.step import as_computed
from harness.verdicts.findings import Diagnosis

ENOUGH = 0.9
"""Share of the deviation that must be explained, as of other causes of what nothing explains."""


def renamed(found: Sequence[Diagnosis], evidence: Sequence[StepEvidence]) -> list[Diagnosis]:
    """The causes found, with uneven weights named where every step that has them says why."""
    return [_named(d, evidence) if d.cause == "uneven-weights" else d for d in found]


def _named(uneven: Diagnosis, evidence: Sequence[StepEvidence]) -> Diagnosis:
    steps = [e for e in evidence if e.fit.excess > 1.0]
    if not steps or any(e.right.model.architecture not in FORWARD for e in steps):
        return uneven
    shares = [explained(e) for e in steps]
    if min(shares) < ENOUGH:
        return uneven
    wanted = evidence[0].right.intent.token_loss.by_probability
    told = "is not multiplied by its probability, though it should be" if wanted else "is multiplied by its probability"
    return replace(
        uneven,
        cause="token-weight",
        summary=f"the loss of each token {told}",
        explains=sum(shares) / len(shares),
        kind=f"token-weight: {'one' if wanted else 'probability'}",
        measured=("one" if wanted else "probability",),
    )


def explained(e: StepEvidence) -> float:
    """Share of the deviation of a step's weights that goes if the losses are weighed in the other way; at least 0."""
    p = _probabilities(e)
    turned = e.observed.weights * (p if e.right.intent.token_loss.by_probability else 1.0 / p)
    off, left = _off(e.observed.weights, e.right.weights), _off(turned, e.right.weights)
    return max(0.0, 1.0 - (left / off) ** 2) if off else 0.0


def _off(weights: Tensor, right: Tensor) -> float:
    """How far weights are from a multiple of the right ones, relative to their own length: the sine of the angle."""
    cosine = float(weights @ right / (weights.norm() * right.norm()))
    return math.sqrt(max(0.0, 1.0 - cosine * cosine))


def _probabilities(e: StepEvidence) -> Tensor:
    """Of the token of each column, float64 [columns]."""
    right = e.right
    seen = as_computed(e.recorded.before.parameters, right.intent.precision)
    kind = replace(right.intent.token_loss, by_probability=False)
    plain = tail_basis.build(seen, right.model, [segment(c) for c in right.conversations], kind)
    return torch.exp(-plain.losses)

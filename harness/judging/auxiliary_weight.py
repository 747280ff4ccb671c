"""What the load-balancing loss of each forward pass weighed, and what that equals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.judging.evidence import StepEvidence
from harness.oracle.factors import UNIT, UNNAMED, Scale, scales

MISSING = Scale(0.0, "0")


@dataclass(frozen=True)
class AuxiliaryWeight:
    """Of one step, with nothing of scale and clipping that its tokens have as well."""

    factors: Tensor
    """float64 [passes]: recovered over right weight."""
    scale: Scale
    """What their mean is times what it should be."""
    by_tokens: bool
    """Whether a pass counts by its trained tokens, instead of as much as any other."""
    fits: bool
    """Whether scale and `by_tokens` explain all of the factors."""

    @property
    def right(self) -> bool:
        return self.fits and self.scale == UNIT and not self.by_tokens


def auxiliary_weight(evidence: StepEvidence) -> AuxiliaryWeight | None:
    """None where the scenario asks for no such loss."""
    right, hypothesis = evidence.right, evidence.fit.hypothesis
    if not right.terms.names:
        return None
    clips = torch.tensor([evidence.fit.clips[term.rank] for term in right.terms.names], dtype=torch.float64)
    factors = evidence.observed.terms / (right.terms.right * clips * hypothesis.scale.factor)
    allowed = evidence.floor.tolerance("auxiliary") * max(1.0, float(factors.abs().max()))
    for scale, by_tokens, predicted in _candidates(evidence, factors):
        if bool(((factors - predicted).abs() <= allowed).all()):
            return AuxiliaryWeight(factors, scale, by_tokens, fits=True)
    return AuxiliaryWeight(factors, Scale(float(factors.mean()), UNNAMED), by_tokens=False, fits=False)


def _candidates(evidence: StepEvidence, factors: Tensor) -> Iterator[tuple[Scale, bool, Tensor]]:
    """Scale, whether by tokens, and the factors that these make; the right ones first."""
    right = evidence.right
    reached = [term.place not in evidence.fit.hypothesis.dropped for term in right.terms.names]
    trained = {term.place: 0 for term in right.terms.names}
    for conversation in right.conversations:
        trained[conversation.place] += conversation.targets
    alike = torch.tensor(reached, dtype=torch.float64)
    share = torch.tensor([trained[term.place] for term in right.terms.names], dtype=torch.float64)
    share = alike * share * len(share) / share.sum()
    known = (*scales(right), MISSING)
    free = Scale(float(factors.sum() / alike.sum().clamp_min(1.0)), UNNAMED)
    for by_tokens, each in ((False, alike), (True, share)):
        for scale in (*known, free):
            yield scale, by_tokens, scale.factor * each

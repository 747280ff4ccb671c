"""Ways in which labels may be smoothed, where they should be smoothed in another one.

With smoothing e a token's column is (1 - e) g + e h: the gradients of its negative log-likelihood, and of the mean over
the vocabulary. A basis with smoothing and one without tell both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import Mean, TokenLoss
from harness.intent.objective import Level
from harness.oracle import aggregation
from harness.oracle.observe import Moments, observe
from harness.oracle.step import RightStep
from harness.oracle.terms import Term, Terms

CAUSE = "label-smoothing"
SMOOTHED = Term("smoothing", 0, 0)

LEVELS: tuple[Level, ...] = ("micro-batch", "rank", "micro-step", "row")


def candidates(
    right: RightStep, moments: Moments, beta1: float, build: Callable[[Model, TokenLoss], RightStep]
) -> Iterator[tuple[str, str, RightStep]]:
    """Steps with another smoothing, in words; none where no labels should be smoothed."""
    kind = right.intent.token_loss
    wanted = kind.label_smoothing
    if not wanted:
        return
    plain = build(right.model, replace(kind, label_smoothing=0.0))
    yield CAUSE, "none", plain
    parts = _Parts(right, plain)
    share = wanted + _excess(parts, moments, beta1)
    if 0.0 < share < 1.0:
        twice = abs(share - (1.0 - (1.0 - wanted) ** 2)) < 1e-3 * share
        share = 1.0 - (1.0 - wanted) ** 2 if twice else float(f"{share:.4g}")
        yield CAUSE, "twice" if twice else f"{share:g}", build(right.model, replace(kind, label_smoothing=share))
    for over, weights in _averages(right):
        off = parts.uniform(weights) - parts.uniform(right.weights)
        yield CAUSE, over, _beside(right, wanted * off, wanted * parts.uniform_loss(weights - right.weights))


@dataclass(frozen=True)
class _Parts:
    """What the weights of tokens make of a loss that is smoothed, and of one that is not."""

    smoothed: RightStep
    plain: RightStep

    @property
    def _share(self) -> float:
        return self.smoothed.intent.token_loss.label_smoothing

    def uniform(self, weights: Tensor) -> Tensor:
        """The gradient [parameters] of the mean over the vocabulary, weighed so: float64 [columns]."""
        rest = self.smoothed.basis.gradient(weights) - (1.0 - self._share) * self.plain.basis.gradient(weights)
        return rest / self._share

    def uniform_loss(self, weights: Tensor) -> float:
        each = self.smoothed.basis.losses - (1.0 - self._share) * self.plain.basis.losses
        return float(weights @ each) / self._share


def _excess(parts: _Parts, moments: Moments, beta1: float) -> float:
    """By how much more than wanted a gradient is smoothed, if its tokens weigh alike by the right weights."""
    right = parts.smoothed
    off = parts.uniform(right.weights) - parts.plain.basis.gradient(right.weights)
    found = observe(_beside(right, off, 0.0).terms, moments, beta1)
    scale = float(found.weights @ right.weights) / float(right.weights @ right.weights)
    return float(found.terms[0]) / scale if scale else 0.0


def _beside(right: RightStep, gradient: Tensor, loss: float) -> RightStep:
    """The same step with one term more beside its tokens."""
    one = torch.ones(1, dtype=torch.float64)
    before = right.terms
    terms = Terms(
        right.basis,
        (*before.names, SMOOTHED),
        torch.cat((before.losses, one * loss)),
        gradient[None] if not before.names else torch.cat((before.gradients, gradient[None])),
        torch.cat((before.right, one)),
    )
    return replace(right, terms=terms)


def _averages(right: RightStep) -> Iterator[tuple[str, Tensor]]:
    """What the smoothed part may be averaged over instead, and the weights [columns] that this makes."""
    every = torch.ones_like(right.trained)
    yield "over all tokens", right.by_column(aggregation.weights(right.places, every, Mean()))
    for level in LEVELS:
        weights = right.by_column(aggregation.weights(right.places, right.trained, Mean(level)))
        if not torch.allclose(weights, right.weights, rtol=1e-9, atol=0.0):
            yield f"over each {level}", weights

"""A basis of the sketches that a recording has of the output head's gradient: no token id, and nothing of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import torch
from torch import Tensor

from harness.oracle import local_basis
from harness.oracle.basis import Prefix
from harness.oracle.local_basis import Layer, LocalBasis
from harness.oracle.recorded_basis import norms_of_ranks

ALIKE = 1.0 - 1e-5
"""Cosine of two tokens' gradients from which on nothing tells them apart: one prefix that stands there twice."""

GAUSSIAN = 3.0
"""Fourth moment of normal numbers over their squared variance."""


@dataclass(frozen=True)
class HeadBasis:
    """A `Basis` of the head's equations alone.

    The length of a gradient of all tensors follows from its head's part, by how much longer the recorded gradient is
    than that: exact for weights that are proportional to the recovered ones, an estimate for others.
    """

    local: LocalBasis
    losses: Tensor
    """float64 [columns]: the mean over the tokens of each."""
    counts: Tensor
    """float64 [columns]: tokens that share each. Their weights are summed."""
    stretch: float = 1.0
    """Length of the recorded gradient over that of its head's part."""
    found: Tensor | None = None
    """float64 [columns]: the weights that explain the recorded gradient."""
    columns: dict[Prefix, int] = field(default_factory=dict)
    """Empty: nobody has kept the tokens."""

    @property
    def condition(self) -> float:
        return self.local.condition

    @property
    def own_lengths(self) -> Tensor:
        """For the weight of each of a column's tokens, not for their sum."""
        return self.local.own_lengths

    def told_by(self, gradient: Tensor) -> float:
        """All of a sketch of the head's gradient is asked."""
        return float(gradient.norm())

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of a sketch [R, C] of the head's gradient: weights float64 [columns], and what is left of it [R, C]."""
        weights = self.local.solve([gradient]).weights
        return weights * self.counts, gradient - self._head(weights)

    def gradient(self, weights: Tensor) -> Tensor:
        """Sketch of the head's gradient, flattened, and as long as the gradient of all tensors would be."""
        return self._head(weights / self.counts).reshape(-1) * self.stretch

    def products(self, weights: Tensor) -> Tensor:
        layer = self.local.layers[0]
        side = layer.right_side(self._head(weights / self.counts))
        summed = torch.zeros(len(self.counts), dtype=torch.float64).index_add(0, self.local.column, side)
        return summed / self.counts * self.stretch**2

    def norm(self, weights: Tensor) -> float:
        return float(self._head(weights / self.counts).norm()) * self.stretch

    def rank_norms(self, parts: Sequence[Tensor], limit: float | None) -> tuple[float, ...]:
        found = torch.zeros_like(self.counts) if self.found is None else self.found
        return norms_of_ranks(self, found, parts, limit)

    def uncertainty(self, left: Tensor) -> Tensor:
        """How far each column's weight may be off, float64 [columns], if what is left of a gradient is noise."""
        return local_basis.MARGIN * self.noise(left) / self.own_lengths * self.counts

    def noise(self, left: Tensor) -> float:
        """Standard deviation of an entry of a gradient, from what is left of it. Infinite where there are no more
        equations than unknowns.

        Roundings go with the size of an entry, so that few entries may have most of it: as many as normal numbers
        would have such a fourth moment with.
        """
        more = self.local.layers[0].equations - len(self.counts)
        squares = left.square()
        size = float(squares.sum())
        if more <= 0 or not size:
            return 0.0 if more > 0 else inf
        taking_part = GAUSSIAN * size**2 / float(squares.square().sum())
        return float((size / min(more, taking_part)) ** 0.5)

    def _head(self, weights: Tensor) -> Tensor:
        return self.local.layers[0].explained(weights[self.local.column])


def build(layer: Layer, losses: Tensor, column: Tensor) -> HeadBasis:
    """layer: of all tokens. losses: [T] in any floating dtype. column: int64 [T], from 0 without a gap."""
    counts = torch.bincount(column).double()
    summed = torch.zeros(len(counts), dtype=torch.float64).index_add(0, column, losses.double())
    return HeadBasis(local_basis.build([layer], column), summed / counts, counts)

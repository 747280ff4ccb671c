"""What a loss has beside its tokens, such as the load-balancing loss of a router, as further columns beside a basis.

The gradient of such a term is no sum of the tokens' gradients. So it has a weight of its own, which is recovered as
theirs are: weights of tokens and terms that together explain a gradient best. Any `Basis` can be solved with them as it
is: what the tokens do not explain of a gradient is held against what they do not explain of each term (Frisch and Waugh
1933). The full basis does that over all parameters. The tail basis finds the tokens by tensors that no router's loss
reaches, and then the terms by all the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from harness.oracle.basis import Basis

Kind = Literal["auxiliary", "smoothing"]


@dataclass(frozen=True)
class Term:
    """One further part of a step's loss."""

    kind: Kind
    rank: int
    micro_batch: int

    @property
    def place(self) -> tuple[int, int]:
        return self.rank, self.micro_batch


@dataclass(frozen=True)
class Solved:
    """What explains a gradient best."""

    weights: Tensor
    """float64 [columns]: of the tokens."""
    terms: Tensor
    """float64 [terms]."""
    rest: Tensor
    """float64 [parameters]: what neither explains."""


@dataclass(frozen=True)
class Terms:
    """The terms of a step, beside a basis of its tokens."""

    basis: Basis
    names: tuple[Term, ...]
    losses: Tensor
    """float64 [terms]."""
    gradients: Tensor
    """float64 [terms, parameters]; tensors in the order of their sorted names."""
    right: Tensor
    """float64 [terms]: right weights before clipping."""

    @cached_property
    def _explained(self) -> tuple[Tensor, Tensor, Tensor]:
        """By the tokens: weights [terms, columns]; what is left [terms, parameters]; the inverse of its Gram matrix."""
        each = [self.basis.solve(gradient) for gradient in self.gradients]
        left = torch.stack([rest for _, rest in each])
        return torch.stack([weights for weights, _ in each]), left, torch.linalg.pinv(left @ left.T, hermitian=True)

    def gradient(self, weights: Tensor) -> Tensor:
        """The gradient float64 [parameters] that weights [terms] make."""
        return weights @ self.gradients

    def solve(self, gradient: Tensor) -> Solved:
        """One step of refinement makes up for the squared condition number of the normal equations."""
        weights, rest = self.basis.solve(gradient)
        if not self.names:
            return Solved(weights, torch.zeros(0, dtype=torch.float64), rest)
        inside, left, inverse = self._explained
        terms = inverse @ (left @ rest)
        terms = terms + inverse @ (left @ (rest - terms @ left))
        return Solved(weights - terms @ inside, terms, rest - terms @ left)


def none(basis: Basis) -> Terms:
    """Those of a loss that has nothing beside its tokens."""
    nothing = torch.zeros(0, dtype=torch.float64)
    return Terms(basis, (), nothing, nothing[:, None], nothing)

"""What a basis is: a column for every token, its gradient of -log p(token | prefix), and solving with them.

There are two. The tail basis (`tail_basis`) takes two passes of the model and knows the columns behind the last
attention; the full one (`full_basis`) takes a backward pass for each token and knows all of each column. A basis
depends on nothing but the parameters and the token ids, so that `basis_cache` can share it: all cells of a scenario
start alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.oracle.forward import Parameters

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Tokens as one forward pass sees them. The right ones are single conversations with positions from 0."""

    ids: tuple[int, ...]
    positions: tuple[int, ...] | None = None
    first_key: tuple[int, ...] | None = None


class Basis(Protocol):
    """Per-token gradients of a model at its parameters, as far as they are needed."""

    @property
    def losses(self) -> Tensor:
        """float64 [columns], in nats."""

    @property
    def columns(self) -> dict[Prefix, int]:
        """Column of the token that ends each prefix (for the segments as given, from each segment's start).

        Tokens with the same prefix have the same gradient, so they share a column; their weights add up.
        """

    @property
    def condition(self) -> float:
        """Condition number of the columns as they are solved for."""

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [columns] that explain a gradient [parameters], and what is left of it [parameters]."""

    def gradient(self, weights: Tensor) -> Tensor:
        """The gradient float64 [parameters] that weights [columns] make; tensors in the order of their sorted names."""

    def products(self, weights: Tensor) -> Tensor:
        """Product of that gradient with each column: float64 [columns]."""

    def norm(self, weights: Tensor) -> float:
        """Length of the gradient that these weights [columns] make."""


def flatten(parameters: Parameters) -> Tensor:
    """The tensors as one float64 vector, in the order of their sorted names, as a basis has them."""
    return torch.cat([parameters[name].reshape(-1).double() for name in sorted(parameters)])


def fresh(segments: Sequence[Segment], columns: dict[Prefix, int]) -> list[tuple[Segment, list[int]]]:
    """The positions of each segment whose prefix was not met before; `columns` gets a new column for each of them."""
    result = []
    for segment in dict.fromkeys(segments):
        tokens = [t for t in range(1, len(segment.ids)) if segment.ids[: t + 1] not in columns]
        columns.update({segment.ids[: t + 1]: len(columns) + i for i, t in enumerate(tokens)})
        if tokens:
            result.append((segment, tokens))
    return result

"""What a basis is: a column for every token, its gradient of -log p(token | prefix), and solving with them.

There are three. The tail basis (`tail_basis`) takes two passes of the model and knows the columns behind the last
attention; the full one (`full_basis`) takes a backward pass for each token and knows all of each column. These two
depend on nothing but the parameters and the token ids, so that `basis_cache` can share them: all cells of a scenario
start alike. The third (`recorded_basis`) takes no pass at all, but what the output head was given, as it was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from harness.oracle.forward import Parameters
from harness.traces.added import Noise
from harness.traces.batch import Conversation

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Tokens as one forward pass sees them. The right ones are single conversations with positions from 0."""

    ids: tuple[int, ...]
    positions: tuple[int, ...] | None = None
    first_key: tuple[int, ...] | None = None
    noise: Noise | None = None
    """What is added to its embedding."""

    def prefix(self, end: int) -> Prefix:
        """What tells the column of the token `end` apart: the tokens up to it, and whose noise was added to them."""
        ids = self.ids[: end + 1]
        return ids if self.noise is None else (-self.noise.number, *ids)


def segment(c: Conversation) -> Segment:
    """A conversation by itself, with what was added to it."""
    return Segment(c.ids, noise=c.noise)


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

    @property
    def own_lengths(self) -> Tensor:
        """How long the part of each column is that no other has, in the equations that are solved: float64 [columns].

        Noise of length e in a gradient makes a weight wrong by up to e over this.
        """

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [columns] that explain a gradient [parameters], and what is left of it [parameters]."""

    def gradient(self, weights: Tensor) -> Tensor:
        """The gradient float64 [parameters] that weights [columns] make; tensors in the order of their sorted names."""

    def products(self, weights: Tensor) -> Tensor:
        """Product of that gradient with each column: float64 [columns]."""

    def norm(self, weights: Tensor) -> float:
        """Length of the gradient that these weights [columns] make."""

    def told_by(self, gradient: Tensor) -> float:
        """Length of the part of a gradient [parameters] that is asked whether tokens explain it."""


@runtime_checkable
class OfRecorded(Protocol):
    """A basis that knows the length of a gradient from the recorded one alone."""

    def rank_norms(self, parts: Sequence[Tensor], limit: float | None) -> tuple[float, ...]:
        """Of each rank's own gradient; see `recorded_basis.norms_of_ranks`."""


@dataclass(frozen=True)
class Inverse:
    """What the products of all columns with all tell."""

    matrix: Tensor
    """float64 [columns, columns]: pseudo-inverse of the Gram matrix of the columns, each scaled to length one."""
    lengths: Tensor
    """float64 [columns]: of the columns before that, above 0."""
    condition: float
    """Condition number of the scaled columns, but for those that have no length or that others make up."""
    own_lengths: Tensor
    """As `Basis.own_lengths`: 0 for those columns."""


def invert(gram: Tensor) -> Inverse:
    """The inverse of a Gram matrix, float64 [columns, columns], as far as it has one."""
    tiny, eps = torch.finfo(torch.float64).tiny, torch.finfo(torch.float64).eps
    lengths = gram.diagonal().clamp_min(tiny).sqrt()
    values, vectors = torch.linalg.eigh(gram / lengths / lengths[:, None])
    solid = values > values[-1] * len(values) * eps
    inverse = (vectors[:, solid] / values[solid]) @ vectors[:, solid].T
    # A column that takes part in a combination which makes nothing: what it weighs beside the others, nobody can tell.
    lost = (vectors[:, ~solid].square().sum(1) > eps**0.5) | (gram.diagonal() <= tiny)
    own = (lengths * inverse.diagonal().clamp_min(tiny).rsqrt()).masked_fill(lost, 0.0)
    left = values[solid & (values > len(values) * eps)]
    condition = float((left[-1] / left[0]).sqrt()) if len(left) else float("inf")
    return Inverse(inverse, lengths, condition if not bool(lost.all()) else float("inf"), own)


def flatten(parameters: Parameters) -> Tensor:
    """The tensors as one float64 vector, in the order of their sorted names, as a basis has them."""
    return torch.cat([parameters[name].reshape(-1).double() for name in sorted(parameters)])


def fresh(segments: Sequence[Segment], columns: dict[Prefix, int]) -> list[tuple[Segment, list[int]]]:
    """The positions of each segment whose prefix was not met before; `columns` gets a new column for each of them."""
    result = []
    for segment in dict.fromkeys(segments):
        tokens = [t for t in range(1, len(segment.ids)) if segment.prefix(t) not in columns]
        columns.update({segment.prefix(t): len(columns) + i for i, t in enumerate(tokens)})
        if tokens:
            result.append((segment, tokens))
    return result

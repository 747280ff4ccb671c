"""The matrix A: one column a token, its gradient of -log p(token | prefix), in float64.

Tokens with the same prefix have the same gradient, so they share a column; their weights add up. A basis depends on
nothing but the parameters and the token ids, so `BasisCache` shares it: all cells of a scenario start alike.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle import forward

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Tokens as one forward pass sees them. The right ones are single conversations with positions from 0."""

    ids: tuple[int, ...]
    positions: tuple[int, ...] | None = None
    first_key: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Basis:
    """Per-token gradients and what is needed to solve with them."""

    gradients: Tensor
    """float64 [columns, parameters]: the transpose of A; tensors in the order of their sorted names."""
    gram: Tensor
    """float64 [columns, columns]."""
    inverse: Tensor
    """Pseudo-inverse of `gram`, float64."""
    losses: Tensor
    """float64 [columns], in nats."""
    columns: dict[Prefix, int]
    """Column of the token that ends each prefix (for the segments as given, from each segment's start)."""
    condition: float
    """Condition number of A, not of its Gram matrix."""

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [columns] that explain a gradient [parameters] best, and what is left of it [parameters].

        One step of refinement makes up for the squared condition number of the normal equations.
        """
        weights = self.inverse @ (self.gradients @ gradient)
        rest = gradient - weights @ self.gradients
        weights = weights + self.inverse @ (self.gradients @ rest)
        return weights, gradient - weights @ self.gradients

    def norm(self, weights: Tensor) -> float:
        """Length of the gradient that these weights [columns] make."""
        return float((weights @ self.gram @ weights).clamp_min(0).sqrt())


def flatten(parameters: forward.Parameters) -> Tensor:
    """The tensors as one float64 vector, in the order of their sorted names, as a basis has them."""
    return torch.cat([parameters[name].reshape(-1).double() for name in sorted(parameters)])


def _fill(
    parameters: dict[str, Tensor], model: Model, segment: Segment, tokens: Sequence[int], losses: Tensor, matrix: Tensor
) -> None:
    """Write the losses [tokens] and gradients [tokens, parameters] of these positions (from 1) of a segment.

    All in one batched backward pass.
    """
    ids = torch.tensor(segment.ids)
    positions = None if segment.positions is None else torch.tensor(segment.positions)
    first_key = None if segment.first_key is None else torch.tensor(segment.first_key)
    every = forward.losses(parameters, model, ids, positions, first_key)
    chosen = torch.tensor([t - 1 for t in tokens])
    losses.copy_(every.detach()[chosen])
    wanted = torch.eye(len(every), dtype=torch.float64)[chosen]
    each = torch.autograd.grad(every, list(parameters.values()), wanted, is_grads_batched=True)
    at = 0
    for gradient in each:
        flat = gradient.reshape(len(tokens), -1)
        matrix[:, at : at + flat.shape[1]] = flat
        at += flat.shape[1]


def _fresh(segments: Sequence[Segment], columns: dict[Prefix, int]) -> list[tuple[Segment, list[int]]]:
    """The positions of each segment whose prefix was not met before; `columns` gets a new column for each of them."""
    result = []
    for segment in dict.fromkeys(segments):
        tokens = [t for t in range(1, len(segment.ids)) if segment.ids[: t + 1] not in columns]
        columns.update({segment.ids[: t + 1]: len(columns) + i for i, t in enumerate(tokens)})
        if tokens:
            result.append((segment, tokens))
    return result


def build(parameters: forward.Parameters, model: Model, segments: Sequence[Segment]) -> Basis:
    """The basis of these segments at these parameters (converted to float64)."""
    leaves = {name: parameters[name].detach().double().requires_grad_() for name in sorted(parameters)}
    columns: dict[Prefix, int] = {}
    pieces = _fresh(segments, columns)
    losses = torch.empty(len(columns), dtype=torch.float64)
    # Written in place: it has hundreds of megabytes, of which every copy takes as long as its computation.
    matrix = torch.empty(len(columns), sum(p.numel() for p in leaves.values()), dtype=torch.float64)
    at = 0
    for segment, tokens in pieces:
        here = slice(at, at + len(tokens))
        _fill(leaves, model, segment, tokens, losses[here], matrix[here])
        at += len(tokens)
    gram = matrix @ matrix.T
    values, vectors = torch.linalg.eigh(gram)
    solid = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    inverse = (vectors[:, solid] / values[solid]) @ vectors[:, solid].T
    condition = float("inf") if not bool(solid.all()) else float((values[-1] / values[0]).sqrt())
    return Basis(matrix, gram, inverse, losses, columns, condition)


class BasisCache:
    """Keeps the bases used last; equal parameters and segments give the same object back.

    One takes parameters x tokens x 8 bytes: 80 MB on the scenarios. There, few differ before the first step.
    """

    def __init__(self, keep: int = 6) -> None:
        self._keep = keep
        self._known: OrderedDict[str, Basis] = OrderedDict()

    def get(self, parameters: forward.Parameters, model: Model, segments: Sequence[Segment]) -> Basis:
        key = _key(parameters, model, segments)
        basis = self._known.pop(key, None)
        if basis is None:
            basis = build(parameters, model, segments)
        self._known[key] = basis
        while len(self._known) > self._keep:
            self._known.popitem(last=False)
        return basis


def _key(parameters: forward.Parameters, model: Model, segments: Sequence[Segment]) -> str:
    digest = hashlib.sha256(repr((model, list(segments))).encode())
    for name in sorted(parameters):
        digest.update(name.encode() + parameters[name].contiguous().numpy().tobytes())
    return digest.hexdigest()

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


def _rows(parameters: dict[str, Tensor], model: Model, segment: Segment) -> tuple[Tensor, Tensor]:
    """Losses [T - 1] and gradients [T - 1, parameters] of one segment, all tokens in one batched backward pass."""
    ids = torch.tensor(segment.ids)
    positions = None if segment.positions is None else torch.tensor(segment.positions)
    first_key = None if segment.first_key is None else torch.tensor(segment.first_key)
    losses = forward.losses(parameters, model, ids, positions, first_key)
    each = torch.autograd.grad(
        losses, list(parameters.values()), torch.eye(len(losses)).double(), is_grads_batched=True
    )
    return losses.detach(), torch.cat([g.reshape(len(losses), -1) for g in each], dim=1)


def build(parameters: forward.Parameters, model: Model, segments: Sequence[Segment]) -> Basis:
    """The basis of these segments at these parameters (converted to float64)."""
    leaves = {name: parameters[name].detach().double().requires_grad_() for name in sorted(parameters)}
    columns: dict[Prefix, int] = {}
    losses, gradients = [], []
    for segment in dict.fromkeys(segments):
        row_losses, row_gradients = _rows(leaves, model, segment)
        fresh = [t for t in range(1, len(segment.ids)) if segment.ids[: t + 1] not in columns]
        for t in fresh:
            columns[segment.ids[: t + 1]] = len(columns)
        keep = torch.tensor([t - 1 for t in fresh], dtype=torch.long)
        losses.append(row_losses[keep])
        gradients.append(row_gradients[keep])
    matrix = torch.cat(gradients)
    gram = matrix @ matrix.T
    values, vectors = torch.linalg.eigh(gram)
    solid = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    inverse = (vectors[:, solid] / values[solid]) @ vectors[:, solid].T
    condition = float("inf") if not bool(solid.all()) else float((values[-1] / values[0]).sqrt())
    return Basis(matrix, gram, inverse, torch.cat(losses), columns, condition)


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

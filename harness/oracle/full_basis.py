"""The full basis: the matrix A, one whole column a token, in float64, by one backward pass for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import TokenLoss
from harness.oracle import forward
from harness.oracle.basis import Prefix, Segment, fresh, invert
from harness.oracle.token_loss import NLL


@dataclass(frozen=True)
class FullBasis:
    """A `Basis` with every entry of every column."""

    matrix: Tensor
    """float64 [columns, parameters]: the transpose of A; tensors in the order of their sorted names."""
    gram: Tensor
    """float64 [columns, columns]."""
    inverse: Tensor
    """Pseudo-inverse of `gram`, float64."""
    losses: Tensor
    columns: dict[Prefix, int]
    condition: float
    """Of A with its columns scaled to length one, not of its Gram matrix."""
    own_lengths: Tensor

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """One step of refinement makes up for the squared condition number of the normal equations."""
        weights = self.inverse @ (self.matrix @ gradient)
        rest = gradient - weights @ self.matrix
        weights = weights + self.inverse @ (self.matrix @ rest)
        return weights, gradient - weights @ self.matrix

    def gradient(self, weights: Tensor) -> Tensor:
        return weights @ self.matrix

    def products(self, weights: Tensor) -> Tensor:
        return self.gram @ weights

    def norm(self, weights: Tensor) -> float:
        return float((weights @ self.gram @ weights).clamp_min(0).sqrt())

    def told_by(self, gradient: Tensor) -> float:
        return float(gradient.norm())


def _fill(
    parameters: dict[str, Tensor],
    model: Model,
    segment: Segment,
    tokens: Sequence[int],
    losses: Tensor,
    matrix: Tensor,
    kind: TokenLoss,
    of: forward.Targets,
) -> None:
    """Write the losses [tokens] and gradients [tokens, parameters] of these positions (from 1) of a segment.

    All in one batched backward pass.
    """
    ids = torch.tensor(segment.ids)
    positions = None if segment.positions is None else torch.tensor(segment.positions)
    first_key = None if segment.first_key is None else torch.tensor(segment.first_key)
    given = forward.noised(parameters, [(len(segment.ids), segment.noise)])
    every = forward.losses(given, model, ids, positions, first_key, kind, of)
    chosen = torch.tensor([t - 1 for t in tokens])
    losses.copy_(every.detach()[chosen])
    wanted = torch.eye(len(every), dtype=torch.float64)[chosen]
    trained = [p for p in parameters.values() if p.requires_grad]
    each = torch.autograd.grad(every, trained, wanted, is_grads_batched=True)
    at = 0
    for gradient in each:
        flat = gradient.reshape(len(tokens), -1)
        matrix[:, at : at + flat.shape[1]] = flat
        at += flat.shape[1]


def build(
    parameters: forward.Parameters,
    model: Model,
    segments: Sequence[Segment],
    kind: TokenLoss = NLL,
    of: forward.Targets = forward.token_losses,
) -> FullBasis:
    """The basis of these segments at these parameters (converted to float64), of those that the model trains."""
    leaves = forward.leaves(parameters, model)
    columns: dict[Prefix, int] = {}
    pieces = fresh(segments, columns)
    losses = torch.empty(len(columns), dtype=torch.float64)
    # Written in place: it has hundreds of megabytes, of which every copy takes as long as its computation.
    matrix = torch.empty(len(columns), sum(p.numel() for p in leaves.values() if p.requires_grad), dtype=torch.float64)
    at = 0
    for segment, tokens in pieces:
        here = slice(at, at + len(tokens))
        _fill(leaves, model, segment, tokens, losses[here], matrix[here], kind, of)
        at += len(tokens)
    return _solved(matrix, losses, columns)


def of_matrix(basis: FullBasis, matrix: Tensor) -> FullBasis:
    """The same tokens by another matrix of theirs: float64 [columns, parameters], of fewer parameters."""
    return _solved(matrix, basis.losses, basis.columns)


def _solved(matrix: Tensor, losses: Tensor, columns: dict[Prefix, int]) -> FullBasis:
    gram = matrix @ matrix.T
    found = invert(gram)
    inverse = found.matrix / found.lengths / found.lengths[:, None]
    return FullBasis(matrix, gram, inverse, losses, columns, found.condition, found.own_lengths)

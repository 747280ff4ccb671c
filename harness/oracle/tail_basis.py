"""The tail basis: columns by what is behind the last attention, and one backward pass for all the rest.

The weights of the tokens follow from the gradients of a few linear layers there alone, such as the last `down_proj`
and the head (`local_basis`). Whether they explain the rest of the gradient as well, one backward pass with these
weights tells. So a gradient that is explained in whole costs two passes of the model, where the full basis has one for
each token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import TokenLoss
from harness.oracle import forward, full_basis, local_basis
from harness.oracle.architectures.passed import Linear
from harness.oracle.basis import Basis, Prefix, Segment, fresh
from harness.oracle.local_basis import Layer, LocalBasis
from harness.oracle.token_loss import NLL, of_logits
from harness.traces.added import Noise


@dataclass(frozen=True)
class TailBasis:
    """A `Basis` that solves by some of the equations: those of the tensors in `local`."""

    parameters: dict[str, Tensor]
    """float64 leaves of the graph that `graph` stands on, in the order of their names: what is trained."""
    fixed: dict[str, Tensor]
    """float64: what is not, and the noise of the embedding."""
    model: Model
    kind: TokenLoss
    graph: Tensor
    """float64 [columns]: the losses, for backward passes."""
    batch: _Batch
    local: LocalBasis
    solved: tuple[str, ...]
    """Names of the tensors that the layers of `local` belong to."""
    columns: dict[Prefix, int]

    @property
    def losses(self) -> Tensor:
        return self.graph.detach()

    @property
    def condition(self) -> float:
        return self.local.condition

    @property
    def own_lengths(self) -> Tensor:
        return self.local.own_lengths

    def solve(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """By the tensors of the tail; what is left is that of all tensors."""
        parts = self._by_tensor(gradient)
        weights = self.local.solve([parts[name] for name in self.solved]).weights
        # What does not reach the tail, as a router's loss, is left whole.
        return weights, gradient - self.gradient(weights) if bool(weights.any()) else gradient

    def gradient(self, weights: Tensor) -> Tensor:
        each = torch.autograd.grad(self.graph, list(self.parameters.values()), weights, retain_graph=True)
        return torch.cat([g.reshape(-1) for g in each])

    def products(self, weights: Tensor) -> Tensor:
        """How every loss changes along that gradient, by differentiating forward."""
        along = self._by_tensor(self.gradient(weights))

        def every(parameters: dict[str, Tensor]) -> Tensor:
            made = _passed({**self.fixed, **parameters}, self.model, self.batch)
            return _losses(made.logits, self.batch, self.kind)

        result: Tensor = torch.func.jvp(every, ({n: p.detach() for n, p in self.parameters.items()},), (along,))[1]
        return result

    def norm(self, weights: Tensor) -> float:
        return float(self.gradient(weights).norm())

    def told_by(self, gradient: Tensor) -> float:
        return float(gradient.norm())

    def _by_tensor(self, gradient: Tensor) -> dict[str, Tensor]:
        """A gradient [parameters], cut into those of the tensors."""
        parts = torch.split(gradient, [p.numel() for p in self.parameters.values()])
        return {n: part.view_as(p) for (n, p), part in zip(self.parameters.items(), parts, strict=True)}


@dataclass(frozen=True)
class _Batch:
    """All segments as one sequence, each apart."""

    ids: Tensor
    positions: Tensor
    first_key: Tensor
    places: Tensor
    """int64 [columns]: the place in the sequence whose logits predict the token."""

    noises: list[tuple[int, Noise | None]]
    """Of each segment: its length and what is added to its embedding."""

    @property
    def targets(self) -> Tensor:
        return self.ids[self.places + 1]


def _batch(pieces: Sequence[tuple[Segment, list[int]]]) -> _Batch:
    starts = [0]
    for segment, _ in pieces:
        starts.append(starts[-1] + len(segment.ids))
    places = [start + t - 1 for start, (_, tokens) in zip(starts, pieces, strict=False) for t in tokens]
    noises = [(len(segment.ids), segment.noise) for segment, _ in pieces]
    return _Batch(*forward.joined([segment.ids for segment, _ in pieces]), torch.tensor(places), noises)


def _passed(parameters: forward.Parameters, model: Model, batch: _Batch) -> forward.Passed:
    return forward.passed(parameters, model, batch.ids, batch.positions, batch.first_key)


def _losses(logits: Tensor, batch: _Batch, kind: TokenLoss) -> Tensor:
    return of_logits(logits[batch.places], batch.targets, kind)


def build(parameters: forward.Parameters, model: Model, segments: Sequence[Segment], kind: TokenLoss = NLL) -> Basis:
    """The basis of these segments, single conversations with positions from 0, at these parameters, in float64.

    The full one where nothing behind the last attention is trained, so that no column is known there.
    """
    leaves = forward.leaves(parameters, model)
    columns: dict[Prefix, int] = {}
    batch = _batch(fresh(segments, columns))
    given = forward.noised(leaves, batch.noises)
    made = _passed(given, model, batch)
    losses = _losses(made.logits, batch, kind)
    trained = {name: p for name, p in leaves.items() if p.requires_grad}
    linears = [linear for linear in made.linears if linear.name in trained]
    if not linears:
        return full_basis.build(parameters, model, segments, kind)
    deltas = torch.autograd.grad(losses.sum(), [linear.outputs for linear in linears], retain_graph=True)
    layers = [_layer(linear, delta, batch) for linear, delta in zip(linears, deltas, strict=True)]
    return TailBasis(
        parameters=trained,
        fixed={name: p for name, p in given.items() if name not in trained},
        model=model,
        kind=kind,
        graph=losses,
        batch=batch,
        local=local_basis.build(layers),
        solved=tuple(linear.name for linear in linears),
        columns=columns,
    )


def losses(
    parameters: forward.Parameters, model: Model, segments: Sequence[Segment]
) -> tuple[Tensor, dict[Prefix, int]]:
    """The losses alone, float64 [columns], and the columns."""
    columns: dict[Prefix, int] = {}
    batch = _batch(fresh(segments, columns))
    with torch.no_grad():
        given = forward.noised(forward.leaves(parameters, model), batch.noises)
        return _losses(_passed(given, model, batch).logits, batch, NLL), columns


def _layer(linear: Linear, deltas: Tensor, batch: _Batch) -> Layer:
    """A matrix that is stored transposed has the transposed gradient, so that inputs and deltas change places."""
    inputs, deltas = linear.inputs.detach()[batch.places], deltas[batch.places]
    if linear.back is not None:
        deltas = deltas @ linear.back.detach()
    return Layer(inputs, deltas) if linear.stored_transposed else Layer(deltas, inputs)

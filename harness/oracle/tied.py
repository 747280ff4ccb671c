"""The two parts of a tied embedding's gradient: what comes from the input, and what comes from the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import TokenLoss
from harness.oracle import architectures, tail_basis
from harness.oracle.architectures.passed import HEAD
from harness.oracle.basis import Segment
from harness.oracle.forward import Parameters
from harness.oracle.token_loss import NLL


@dataclass(frozen=True)
class Parts:
    """Gradients of all parameters, as a basis has them: float64 [parameters]."""

    rest: Tensor
    """What the tokens, weighed as the layers behind the last attention tell, do not explain."""
    by_input: Tensor
    """What the embedding alone gets from its place at the input, with these weights; 0 elsewhere."""
    by_head: Tensor
    """From its place at the head."""


def parts(
    parameters: Parameters, model: Model, segments: Sequence[Segment], gradient: Tensor, kind: TokenLoss = NLL
) -> Parts:
    """Of `gradient`, float64 [parameters], by a model whose head is a copy of its embedding."""
    weights, rest = tail_basis.build(parameters, model, segments, kind).solve(gradient)
    name = architectures.embedding(model.architecture)
    copied = {**parameters, HEAD: parameters[name]}
    apart = tail_basis.build(copied, replace(model, tied_embeddings=False), segments, kind)
    trained = [name for name in sorted(copied) if model.trains(name)]
    sizes = [copied[name].numel() for name in trained]
    split = dict(zip(trained, torch.split(apart.gradient(weights), sizes), strict=True))
    return Parts(rest, *(_alone(parameters, name, split[part]) for part in (name, HEAD)))


def _alone(parameters: Parameters, name: str, gradient: Tensor) -> Tensor:
    every = (gradient if n == name else gradient.new_zeros(parameters[n].numel()) for n in sorted(parameters))
    return torch.cat(list(every))

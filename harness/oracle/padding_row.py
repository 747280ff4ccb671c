"""What a row of the embedding gets from its place at the input: that of the padding token is frozen by some models."""

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
class Row:
    """Gradients of all parameters, as a basis has them: float64 [parameters]."""

    rest: Tensor
    """What the tokens, weighed as the layers behind the last attention tell, do not explain."""
    part: Tensor
    """What the row gets from the input with these weights; 0 elsewhere."""


def row(
    parameters: Parameters,
    model: Model,
    segments: Sequence[Segment],
    gradient: Tensor,
    token: int,
    kind: TokenLoss = NLL,
) -> Row:
    """That of `token`, of `gradient`, float64 [parameters]; the embedding has to be one that is trained."""
    weights, rest = tail_basis.build(parameters, model, segments, kind).solve(gradient)
    name = architectures.embedding(model.architecture)
    apart = parameters if not model.tied_embeddings else {**parameters, HEAD: parameters[name]}
    basis = tail_basis.build(apart, replace(model, tied_embeddings=False), segments, kind)
    trained = [n for n in sorted(apart) if model.trains(n)]
    sizes = [apart[n].numel() for n in trained]
    split = dict(zip(trained, torch.split(basis.gradient(weights), sizes), strict=True))
    kept = torch.zeros(parameters[name].shape, dtype=torch.float64)
    kept[token] = split[name].view_as(kept)[token]
    own = (n for n in sorted(parameters) if model.trains(n))
    every = (kept.flatten() if n == name else kept.new_zeros(parameters[n].numel()) for n in own)
    return Row(rest, torch.cat(list(every)))

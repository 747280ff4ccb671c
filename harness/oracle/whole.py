"""The gradient of every parameter, those that should not be trained among them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle import forward
from harness.oracle.architectures import FORWARD
from harness.oracle.forward import Parameters
from harness.oracle.step import RightStep, as_computed

NOTHING = 1e-12
"""Share of the longest gradient of a tensor below which one is rounding of float64."""


@dataclass(frozen=True)
class Norms:
    """Before clipping, of the right step."""

    whole: float
    """Length of the gradient of all parameters."""
    trained: float
    """Of those that are to be trained."""


def norms(right: RightStep, parameters: Parameters) -> Norms:
    """Of a model that the oracle has a forward pass of, at these parameters."""
    lengths = {name: float(g.norm()) for name, g in gradients(right, parameters).items()}
    trained = [length for name, length in lengths.items() if right.model.trains(name)]
    return Norms(_length(list(lengths.values())), _length(trained))


def idle(right: RightStep, parameters: Parameters) -> frozenset[str]:
    """Tensors that no token of the step touches, such as an expert's that none is routed to, or a router's whose tokens
    go to one expert each: their gradient is 0. None are told of a model that the oracle has no forward pass of."""
    if right.model.architecture not in FORWARD:
        return frozenset()
    lengths = {name: float(g.norm()) for name, g in gradients(right, parameters).items()}
    return frozenset(name for name, length in lengths.items() if length <= NOTHING * max(lengths.values()))


def gradients(right: RightStep, parameters: Parameters) -> dict[str, Tensor]:
    """Before clipping, float64, of all parameters of a model that the oracle has a forward pass of."""
    seen = as_computed(parameters, right.intent.precision)
    leaves = {name: p.double().requires_grad_() for name, p in seen.items()}
    given = forward.noised(leaves, [(len(c.ids), c.noise) for c in right.conversations])
    made = forward.passed(given, right.model, *forward.joined([c.ids for c in right.conversations]))
    ids = torch.tensor([i for c in right.conversations for i in c.ids])
    predicted = torch.tensor([t > 0 for c in right.conversations for t in range(len(c.ids))])[1:]
    losses = forward.token_losses(made.logits, ids, right.intent.token_loss)[predicted]
    every = torch.autograd.grad((losses * right.slot_weights).sum(), list(leaves.values()))
    return dict(zip(leaves, every, strict=True))


def _length(parts: list[float]) -> float:
    return math.hypot(*parts)

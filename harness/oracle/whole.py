"""The gradient of every parameter, those that should not be trained among them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from harness.oracle import forward
from harness.oracle.forward import Parameters
from harness.oracle.step import RightStep, as_computed


@dataclass(frozen=True)
class Norms:
    """Before clipping, of the right step."""

    whole: float
    """Length of the gradient of all parameters."""
    trained: float
    """Of those that are to be trained."""


def norms(right: RightStep, parameters: Parameters) -> Norms:
    """Of a model that the oracle has a forward pass of, at these parameters."""
    model = right.model
    seen = as_computed(parameters, right.intent.precision)
    leaves = {name: p.double().requires_grad_() for name, p in seen.items()}
    given = forward.noised(leaves, [(len(c.ids), c.noise) for c in right.conversations])
    made = forward.passed(given, model, *forward.joined([c.ids for c in right.conversations]))
    ids = torch.tensor([i for c in right.conversations for i in c.ids])
    predicted = torch.tensor([t > 0 for c in right.conversations for t in range(len(c.ids))])[1:]
    losses = forward.token_losses(made.logits, ids, right.intent.token_loss)[predicted]
    every = torch.autograd.grad((losses * right.slot_weights).sum(), list(leaves.values()))
    lengths = {name: float(g.norm()) for name, g in zip(leaves, every, strict=True)}
    trained = [length for name, length in lengths.items() if model.trains(name)]
    return Norms(_length(list(lengths.values())), _length(trained))


def _length(parts: list[float]) -> float:
    return math.hypot(*parts)

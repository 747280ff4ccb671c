"""The load-balancing loss of the router, of every forward pass of a step, as terms of its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import Intent
from harness.oracle import forward
from harness.oracle.architectures.routing import load_balancing
from harness.oracle.basis import Basis
from harness.oracle.forward import Parameters
from harness.oracle.terms import Term, Terms, none
from harness.traces.batch import Conversation

Place = tuple[int, int]
"""Rank and micro-batch."""


def passes(conversations: Sequence[Conversation]) -> dict[Place, Tensor]:
    """Where the tokens of each forward pass stand in the sequence that joins all these conversations: int64 [T]."""
    result: dict[Place, list[Tensor]] = {}
    at = 0
    for conversation in conversations:
        result.setdefault(conversation.place, []).append(torch.arange(at, at + len(conversation.ids)))
        at += len(conversation.ids)
    return {place: torch.cat(tokens) for place, tokens in result.items()}


def losses(model: Model, conversations: Sequence[Conversation], routers: Sequence[Tensor]) -> Tensor:
    """The loss of each forward pass: [passes]. routers: logits [T, experts] of each layer, for the joined sequence.

    What the model received as padding counts for nothing.
    """
    count = model.experts_per_token
    each = passes(conversations).values()
    return torch.stack([load_balancing([router[tokens] for router in routers], count) for tokens in each])


def right_weight(intent: Intent, step: int) -> float:
    """Of each pass: the coefficient, over the number of passes that the step has. So they make a mean."""
    return intent.auxiliary / (intent.micro_batches(step) * intent.ranks)


def terms(
    intent: Intent,
    step: int,
    model: Model,
    conversations: Sequence[Conversation],
    parameters: Parameters,
    basis: Basis,
) -> Terms:
    """The gradients of these losses in float64, beside a basis of the tokens; none where nobody wants any."""
    if not intent.auxiliary:
        return none(basis)
    leaves = forward.leaves(parameters, model)
    places = tuple(passes(conversations))
    each = [_gradient(model, [c for c in conversations if c.place == place], leaves) for place in places]
    right = torch.full((len(places),), right_weight(intent, step), dtype=torch.float64)
    found, gradients = (torch.stack(column) for column in zip(*each, strict=True))
    return Terms(basis, tuple(Term("auxiliary", *place) for place in places), found, gradients, right)


def _gradient(model: Model, together: Sequence[Conversation], leaves: Parameters) -> tuple[Tensor, Tensor]:
    """The loss of one pass, and its gradient [parameters]."""
    given = forward.noised(leaves, [(len(c.ids), c.noise) for c in together])
    made = forward.passed(given, model, *forward.joined([c.ids for c in together]))
    loss = load_balancing(made.routers, model.experts_per_token)
    trained = [p for p in leaves.values() if p.requires_grad]
    every = torch.autograd.grad(loss, trained, materialize_grads=True)
    return loss.detach(), torch.cat([gradient.reshape(-1) for gradient in every])

"""A forward pass in plain torch, written for the oracle and sharing no code with what it judges.

In any floating dtype, of every family in `architectures`; attention may be cut into segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from adapters.contract import Model
from harness.intent.intent import TokenLoss
from harness.oracle.architectures import FORWARD, lora
from harness.oracle.architectures.passed import NOISE, Parameters, Passed
from harness.oracle.token_loss import NLL, of_logits
from harness.traces.added import Noise

__all__ = [
    "Parameters",
    "Passed",
    "joined",
    "leaves",
    "logits",
    "losses",
    "noised",
    "passed",
    "token_losses",
    "unshifted_losses",
]

Targets = Callable[[Tensor, Tensor, TokenLoss], Tensor]
"""`token_losses`, or another way to hold logits against tokens."""


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """One sequence through the model.

    ids, positions, first_key: int64 [T]; token s attends to tokens first_key[s]..s.
    """
    if model.lora is None:
        return FORWARD[model.architecture](parameters, model, ids, positions, first_key)
    made = FORWARD[model.architecture](lora.merged(parameters, model.lora), model, ids, positions, first_key)
    linears = tuple(part for linear in made.linears for part in lora.factors(linear, parameters, model.lora))
    return replace(made, linears=linears)


def logits(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Tensor:
    """Logits of one sequence, as in `passed`: [T, vocabulary] in the parameters' dtype."""
    return passed(parameters, model, ids, positions, first_key).logits


def losses(
    parameters: Parameters,
    model: Model,
    ids: Tensor,
    positions: Tensor | None = None,
    first_key: Tensor | None = None,
    kind: TokenLoss = NLL,
    of: Targets | None = None,
) -> Tensor:
    """Loss of every token but the first, given those before it: [T - 1], in nats.

    Positions count from 0 and attention reaches back to the start unless given.
    """
    if positions is None:
        positions = torch.arange(len(ids))
    if first_key is None:
        first_key = torch.zeros_like(ids)
    return (of or token_losses)(logits(parameters, model, ids, positions, first_key), ids, kind)


def token_losses(scores: Tensor, ids: Tensor, kind: TokenLoss = NLL) -> Tensor:
    """Loss [T - 1] of every token but the first, from logits [T, vocabulary] and ids [T]."""
    return of_logits(scores[:-1], ids[1:], kind)


def unshifted_losses(scores: Tensor, ids: Tensor, kind: TokenLoss) -> Tensor:
    """The same of logits that are held against the very token that they were made from, not the one behind it."""
    return of_logits(scores[1:], ids[1:], kind)


def joined(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Several conversations as one sequence, each apart: its ids, positions and first keys, int64 [T] each."""
    ids: list[int] = []
    positions: list[int] = []
    first: list[int] = []
    for row in rows:
        first += [len(ids)] * len(row)
        positions += range(len(row))
        ids += row
    return torch.tensor(ids), torch.tensor(positions), torch.tensor(first)


def noised(parameters: Parameters, segments: Sequence[tuple[int, Noise | None]]) -> Parameters:
    """The parameters and, beside them, what is added to the embedding of several sequences as one, if it is to any.

    segments: how long each of them is, and its noise.
    """
    known = next((noise for _, noise in segments if noise is not None), None)
    if known is None:
        return parameters
    width = known.values.shape[1]
    parts = [torch.zeros(n, width, dtype=torch.float64) if noise is None else noise.of(n) for n, noise in segments]
    return {**parameters, NOISE: torch.cat(parts)}


def leaves(parameters: Parameters, model: Model) -> dict[str, Tensor]:
    """The parameters in float64, in the order of their names; those that the model trains take gradients."""
    return {name: parameters[name].detach().double().requires_grad_(model.trains(name)) for name in sorted(parameters)}

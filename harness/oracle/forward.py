"""A forward pass in plain torch, written for the oracle and sharing no code with what it judges.

In any floating dtype, of every family in `architectures`; attention may be cut into segments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle.architectures import FORWARD
from harness.oracle.architectures.passed import Parameters, Passed

__all__ = ["Parameters", "Passed", "joined", "logits", "losses", "passed", "token_losses"]


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """One sequence through the model.

    ids, positions, first_key: int64 [T]; token s attends to tokens first_key[s]..s.
    """
    return FORWARD[model.architecture](parameters, model, ids, positions, first_key)


def logits(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Tensor:
    """Logits of one sequence, as in `passed`: [T, vocabulary] in the parameters' dtype."""
    return passed(parameters, model, ids, positions, first_key).logits


def losses(
    parameters: Parameters, model: Model, ids: Tensor, positions: Tensor | None = None, first_key: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of every token but the first, given those before it: [T - 1], in nats.

    Positions count from 0 and attention reaches back to the start unless given.
    """
    if positions is None:
        positions = torch.arange(len(ids))
    if first_key is None:
        first_key = torch.zeros_like(ids)
    return token_losses(logits(parameters, model, ids, positions, first_key), ids)


def token_losses(scores: Tensor, ids: Tensor) -> Tensor:
    """Negative log-likelihood [T - 1] of every token but the first, from logits [T, vocabulary] and ids [T]."""
    # In float32 at least, as every framework does it, and with it what goes back to the logits.
    wide = scores[:-1].to(torch.promote_types(scores.dtype, torch.float32))
    return wide.logsumexp(-1) - wide.gather(1, ids[1:, None]).squeeze(1)


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

"""Mixtral: Llama, with a mixture of SwiGLU experts for each token (Jiang et al. 2024, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import silu

from adapters.contract import Model
from harness.oracle.architectures import llama
from harness.oracle.architectures.passed import Fed, Linear, Parameters, Passed
from harness.oracle.architectures.routing import chosen
from scenarios.architectures.mixtral import block, expert


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """As `harness.oracle.forward.passed`."""
    return llama.through(_mixture, parameters, model, ids, positions, first_key)


def _mixture(parameters: Parameters, model: Model, layer: int, x: Tensor) -> Fed:
    """Every expert sees every token, whose weight for it is 0 unless it is one of its best.

    The weights of a token's best experts are its softmax over all of them, scaled to a sum of 1.
    """
    router = x @ parameters[f"{block(layer)}.gate.weight"].T
    kept = router.softmax(-1) * chosen(router, model.experts_per_token)
    weights = kept / kept.sum(-1, keepdim=True)
    linears = tuple(_expert(parameters, expert(layer, number), x) for number in range(model.experts))
    every = torch.stack([linear.outputs for linear in linears], dim=-1)
    return Fed((every * weights[:, None, :]).sum(-1), linears, router)


def _expert(parameters: Parameters, names: dict[str, str], x: Tensor) -> Linear:
    gated = silu(x @ parameters[names["gate"]].T) * (x @ parameters[names["up"]].T)
    return Linear(names["down"], gated, gated @ parameters[names["down"]].T)

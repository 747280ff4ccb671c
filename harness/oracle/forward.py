"""A Llama forward pass in plain torch, written for the oracle and sharing no code with what it judges.

RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al. 2021), grouped-query attention (Ainslie et al. 2023) and
SwiGLU (Shazeer 2020), in any floating dtype; attention may be cut into segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Model

Parameters = Mapping[str, Tensor]
"""Tensors by the parameter names of `scenarios.weights.shapes`."""


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def _angles(model: Model, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    half = model.head_dim // 2
    frequency = model.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = positions.to(torch.float64)[:, None] * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def _attend(
    parameters: Parameters, model: Model, at: str, x: Tensor, angles: tuple[Tensor, Tensor], allowed: Tensor
) -> Tensor:
    length = x.shape[0]

    def heads(name: str, count: int) -> Tensor:
        flat = x @ parameters[f"{at}.self_attn.{name}.weight"].T
        return flat.view(length, count, model.head_dim).transpose(0, 1)

    query = _rotate(heads("q_proj", model.heads), *angles)
    key = _rotate(heads("k_proj", model.kv_heads), *angles)
    value = heads("v_proj", model.kv_heads)
    shared = model.heads // model.kv_heads
    key, value = key.repeat_interleave(shared, dim=0), value.repeat_interleave(shared, dim=0)
    score = query @ key.transpose(1, 2) * model.head_dim**-0.5
    weight = score.masked_fill(~allowed, float("-inf")).softmax(-1)
    mixed = (weight @ value).transpose(0, 1).reshape(length, -1)
    result: Tensor = mixed @ parameters[f"{at}.self_attn.o_proj.weight"].T
    return result


def _gated(parameters: Parameters, at: str, x: Tensor) -> Tensor:
    gate = torch.nn.functional.silu(x @ parameters[f"{at}.mlp.gate_proj.weight"].T)
    return gate * (x @ parameters[f"{at}.mlp.up_proj.weight"].T)


@dataclass(frozen=True)
class Passed:
    """What a pass of one sequence of T tokens has made behind its last attention, in the parameters' dtype."""

    gated: Tensor
    """[T, intermediate]: what goes into the last layer's `down_proj`."""
    out: Tensor
    """[T, hidden]: what the last layer hands to the final norm."""
    hidden: Tensor
    """[T, hidden]: what the final norm hands to the head."""
    logits: Tensor
    """[T, vocabulary]."""


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """One sequence through the model.

    ids, positions, first_key: int64 [T]; token s attends to tokens first_key[s]..s.
    """
    embedding = parameters["model.embed_tokens.weight"]
    # A product with one-hot rows rather than a look-up: its backward is a product too, which batches well.
    x = torch.nn.functional.one_hot(ids, model.vocab_size).to(embedding.dtype) @ embedding
    index = torch.arange(len(ids))
    allowed = (index[None, :] <= index[:, None]) & (index[None, :] >= first_key[:, None])
    angles = _angles(model, positions, embedding.dtype)
    gated = x
    for layer in range(model.layers):
        at = f"model.layers.{layer}"
        normed = _norm(x, parameters[f"{at}.input_layernorm.weight"], model.rms_eps)
        x = x + _attend(parameters, model, at, normed, angles, allowed)
        gated = _gated(parameters, at, _norm(x, parameters[f"{at}.post_attention_layernorm.weight"], model.rms_eps))
        x = x + gated @ parameters[f"{at}.mlp.down_proj.weight"].T
    hidden = _norm(x, parameters["model.norm.weight"], model.rms_eps)
    head = embedding if model.tied_embeddings else parameters["lm_head.weight"]
    return Passed(gated, x, hidden, hidden @ head.T)


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

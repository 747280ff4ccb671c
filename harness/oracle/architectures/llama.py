"""Llama: RMSNorm, rotary positions, grouped-query attention and SwiGLU (Touvron et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from adapters.contract import Model
from harness.oracle.architectures.blocks import allowed, angles, attend, heads, looked_up, rms_norm, rotate, swiglu
from harness.oracle.architectures.passed import Fed, Linear, Parameters, Passed

FeedForward = Callable[[Parameters, Model, int, Tensor], Fed]
"""Parameters, model, number of the layer and its normed input [T, hidden]."""


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """As `harness.oracle.forward.passed`."""
    return through(_feed_forward, parameters, model, ids, positions, first_key)


def through(
    feed: FeedForward, parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor
) -> Passed:
    """A pass through layers that are Llama's but for their feed-forward blocks."""
    embedding = parameters["model.embed_tokens.weight"]
    x, mask = looked_up(embedding, ids), allowed(first_key)
    turned = angles(model, positions, embedding.dtype)
    every: list[Fed] = []
    for layer in range(model.layers):
        at = f"model.layers.{layer}"
        normed = rms_norm(x, parameters[f"{at}.input_layernorm.weight"], model.rms_eps)
        x = x + _attention(parameters, model, f"{at}.self_attn", normed, turned, mask)
        normed = rms_norm(x, parameters[f"{at}.post_attention_layernorm.weight"], model.rms_eps)
        every.append(feed(parameters, model, layer, normed))
        x = x + every[-1].output
    hidden = rms_norm(x, parameters["model.norm.weight"], model.rms_eps)
    linears = every[-1].linears
    routers = tuple(fed.router for fed in every if fed.router is not None)
    if model.tied_embeddings:  # the head's gradient is also that of the input
        return Passed(hidden, hidden @ embedding.T, linears, routers)
    logits = hidden @ parameters["lm_head.weight"].T
    return Passed(hidden, logits, (*linears, Linear("lm_head.weight", hidden, logits)), routers)


def _feed_forward(parameters: Parameters, model: Model, layer: int, x: Tensor) -> Fed:
    at = f"model.layers.{layer}.mlp"
    gated = swiglu(parameters, at, x)
    down = gated @ parameters[f"{at}.down_proj.weight"].T
    return Fed(down, (Linear(f"{at}.down_proj.weight", gated, down),))


def _attention(
    parameters: Parameters, model: Model, at: str, x: Tensor, turned: tuple[Tensor, Tensor], mask: Tensor
) -> Tensor:
    query = rotate(heads(x @ parameters[f"{at}.q_proj.weight"].T, model.heads), *turned)
    key = rotate(heads(x @ parameters[f"{at}.k_proj.weight"].T, model.kv_heads), *turned)
    value = heads(x @ parameters[f"{at}.v_proj.weight"].T, model.kv_heads)
    mixed = attend(query, key, value, mask, model.head_dim**-0.5)
    result: Tensor = mixed @ parameters[f"{at}.o_proj.weight"].T
    return result

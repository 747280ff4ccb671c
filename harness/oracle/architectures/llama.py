"""Llama: RMSNorm, rotary positions, grouped-query attention and SwiGLU (Touvron et al. 2023).

Qwen 2 has biases on queries, keys and values as well, Qwen 3 a norm on every head's query and key: where the parameters
have these, so has the pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from adapters.contract import Model
from harness.oracle.architectures.blocks import (
    Block,
    allowed,
    angles,
    attend,
    embedded,
    heads,
    projected,
    rms_norm,
    rotate,
    swiglu,
)
from harness.oracle.architectures.passed import Fed, Linear, Parameters, Passed, through_head

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
    x, blocks = embedded(parameters, "model.embed_tokens.weight", ids), allowed(first_key)
    turned = angles(model, positions, embedding.dtype)
    every: list[Fed] = []
    for layer in range(model.layers):
        at = f"model.layers.{layer}"
        normed = rms_norm(x, parameters[f"{at}.input_layernorm.weight"], model.rms_eps)
        x = x + _attention(parameters, model, f"{at}.self_attn", normed, turned, blocks)
        normed = rms_norm(x, parameters[f"{at}.post_attention_layernorm.weight"], model.rms_eps)
        every.append(feed(parameters, model, layer, normed))
        x = x + every[-1].output
    hidden = rms_norm(x, parameters["model.norm.weight"], model.rms_eps)
    routers = tuple(fed.router for fed in every if fed.router is not None)
    return through_head(parameters, embedding, hidden, every[-1].linears, routers)


def _feed_forward(parameters: Parameters, model: Model, layer: int, x: Tensor) -> Fed:
    at = f"model.layers.{layer}.mlp"
    gated = swiglu(parameters, at, x)
    down = gated @ parameters[f"{at}.down_proj.weight"].T
    return Fed(down, (Linear(f"{at}.down_proj.weight", gated, down),))


def _attention(
    parameters: Parameters, model: Model, at: str, x: Tensor, turned: tuple[Tensor, Tensor], blocks: Sequence[Block]
) -> Tensor:
    query = _head_norm(parameters, model, f"{at}.q_norm", heads(projected(parameters, f"{at}.q_proj", x), model.heads))
    key = _head_norm(parameters, model, f"{at}.k_norm", heads(projected(parameters, f"{at}.k_proj", x), model.kv_heads))
    value = heads(projected(parameters, f"{at}.v_proj", x), model.kv_heads)
    mixed = attend(rotate(query, *turned), rotate(key, *turned), value, blocks, model.head_dim**-0.5)
    return projected(parameters, f"{at}.o_proj", mixed)


def _head_norm(parameters: Parameters, model: Model, at: str, x: Tensor) -> Tensor:
    """[heads, T, d]: the norm called `at` of each head, if there is one."""
    return rms_norm(x, parameters[f"{at}.weight"], model.rms_eps) if f"{at}.weight" in parameters else x

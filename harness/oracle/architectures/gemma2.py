"""Gemma 2: Llama with scaled embeddings, norms that add 1 to their weight, also behind attention and MLP, soft caps on
scores and logits, and GELU gates (Riviere et al. 2024, https://arxiv.org/abs/2408.00118).

A head that is tied to the embedding is so without the scale. Every second layer attends within a window, which no
sequence here exceeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from torch.nn.functional import gelu

from adapters.contract import Model
from harness.oracle.architectures.blocks import (
    Block,
    allowed,
    angles,
    attend,
    capped,
    embedded,
    heads,
    projected,
    rms_norm,
    rotate,
)
from harness.oracle.architectures.passed import Linear, Parameters, Passed, through_head


def passed(parameters: Parameters, model: Model, ids: Tensor, positions: Tensor, first_key: Tensor) -> Passed:
    """As `harness.oracle.forward.passed`."""
    embedding = parameters["model.embed_tokens.weight"]
    x = embedded(parameters, "model.embed_tokens.weight", ids) * model.hidden_size**0.5
    blocks = allowed(first_key)
    turned = angles(model, positions, embedding.dtype)
    for layer in range(model.layers):
        at = f"model.layers.{layer}"
        mixed = _attention(
            parameters, model, f"{at}.self_attn", _norm(parameters, model, f"{at}.input_layernorm", x), turned, blocks
        )
        x = x + _norm(parameters, model, f"{at}.post_attention_layernorm", mixed)
        gated = _gated(parameters, f"{at}.mlp", _norm(parameters, model, f"{at}.pre_feedforward_layernorm", x))
        down = projected(parameters, f"{at}.mlp.down_proj", gated)
        x = x + _norm(parameters, model, f"{at}.post_feedforward_layernorm", down)
    hidden = _norm(parameters, model, "model.norm", x)
    plain = through_head(parameters, embedding, hidden, (Linear(f"{at}.mlp.down_proj.weight", gated, down),))
    return replace(plain, logits=capped(plain.logits, model.final_softcap))


def _norm(parameters: Parameters, model: Model, at: str, x: Tensor) -> Tensor:
    return rms_norm(x, 1.0 + parameters[f"{at}.weight"], model.rms_eps)


def _attention(
    parameters: Parameters, model: Model, at: str, x: Tensor, turned: tuple[Tensor, Tensor], blocks: Sequence[Block]
) -> Tensor:
    query = rotate(heads(projected(parameters, f"{at}.q_proj", x), model.heads), *turned)
    key = rotate(heads(projected(parameters, f"{at}.k_proj", x), model.kv_heads), *turned)
    value = heads(projected(parameters, f"{at}.v_proj", x), model.kv_heads)
    mixed = attend(query, key, value, blocks, model.head_dim**-0.5, model.attention_softcap)
    return projected(parameters, f"{at}.o_proj", mixed)


def _gated(parameters: Parameters, at: str, x: Tensor) -> Tensor:
    """[T, intermediate]: what goes into `down_proj`."""
    return gelu(projected(parameters, f"{at}.gate_proj", x), approximate="tanh") * projected(
        parameters, f"{at}.up_proj", x
    )

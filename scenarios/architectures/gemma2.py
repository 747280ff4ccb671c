"""Gemma 2: what transformers' `Gemma2ForCausalLM` holds, and its `config.json`."""

from __future__ import annotations

from typing import Any

from adapters.contract import Model
from scenarios.architectures import llama


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Llama's, with a norm also behind attention and MLP of each layer."""
    result: dict[str, tuple[int, ...]] = {}
    for name, shape in llama.shapes(model).items():
        result[name] = shape
        if name.endswith("post_attention_layernorm.weight"):
            at = name.removesuffix("post_attention_layernorm.weight")
            result |= {f"{at}{which}_feedforward_layernorm.weight": shape for which in ("pre", "post")}
    return result


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone. No sequence is longer than the window of every second layer."""
    return {
        "architectures": ["Gemma2ForCausalLM"],
        **llama.rotary(model),
        "head_dim": model.head_dim,
        "query_pre_attn_scalar": model.head_dim,
        "rms_norm_eps": model.rms_eps,
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "sliding_window": model.max_positions,
        "attn_logit_softcapping": model.attention_softcap,
        "final_logit_softcapping": model.final_softcap,
    }

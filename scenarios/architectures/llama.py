"""Llama: what transformers' `LlamaForCausalLM` holds, and its `config.json`."""

from __future__ import annotations

from typing import Any

from adapters.contract import Model


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order of the model."""
    hidden, head = model.hidden_size, model.head_dim
    result: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (model.vocab_size, hidden)}
    for i in range(model.layers):
        at = f"model.layers.{i}"
        result |= {
            f"{at}.self_attn.q_proj.weight": (model.heads * head, hidden),
            f"{at}.self_attn.k_proj.weight": (model.kv_heads * head, hidden),
            f"{at}.self_attn.v_proj.weight": (model.kv_heads * head, hidden),
            f"{at}.self_attn.o_proj.weight": (hidden, model.heads * head),
            f"{at}.mlp.gate_proj.weight": (model.intermediate_size, hidden),
            f"{at}.mlp.up_proj.weight": (model.intermediate_size, hidden),
            f"{at}.mlp.down_proj.weight": (hidden, model.intermediate_size),
            f"{at}.input_layernorm.weight": (hidden,),
            f"{at}.post_attention_layernorm.weight": (hidden,),
        }
    result["model.norm.weight"] = (hidden,)
    if not model.tied_embeddings:
        result["lm_head.weight"] = (model.vocab_size, hidden)
    return result


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone."""
    return {
        "architectures": ["LlamaForCausalLM"],
        **common(model),
        "head_dim": model.head_dim,
        "attention_bias": False,
        "mlp_bias": False,
    }


def common(model: Model) -> dict[str, Any]:
    """What is the same in every family that has Llama's norm and activation as well."""
    return {**rotary(model), "rms_norm_eps": model.rms_eps, "hidden_act": "silu"}


def rotary(model: Model) -> dict[str, Any]:
    """What is the same in every family with rotary positions."""
    return {
        "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.intermediate_size,
        "rope_theta": model.rope_theta,
        "attention_dropout": 0.0,
    }

"""StableLM: what transformers' `StableLmForCausalLM` holds, and its `config.json`.

Rotary positions on a part of each head, LayerNorms with biases. The oracle has no forward pass of it, on purpose: it
stands for every family that nobody wrote one for.
"""

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
            f"{at}.input_layernorm.bias": (hidden,),
            f"{at}.post_attention_layernorm.weight": (hidden,),
            f"{at}.post_attention_layernorm.bias": (hidden,),
        }
    result |= {"model.norm.weight": (hidden,), "model.norm.bias": (hidden,)}
    if not model.tied_embeddings:
        result["lm_head.weight"] = (model.vocab_size, hidden)
    return result


def around(name: str) -> float:
    """What the initial entries of a vector lie around."""
    return 0.0 if name.endswith(".bias") else 1.0


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone."""
    return {
        "architectures": ["StableLmForCausalLM"],
        "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.intermediate_size,
        "layer_norm_eps": model.rms_eps,
        "rope_theta": model.rope_theta,
        "partial_rotary_factor": 0.5,
        "hidden_act": "silu",
        "use_qkv_bias": False,
        "qk_layernorm": False,
        "use_parallel_residual": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
    }

"""StableLM: what transformers' `StableLmForCausalLM` holds, and its `config.json`.

Rotary positions on a part of each head, LayerNorms with biases. The oracle has no forward pass of it, on purpose: it
stands for every family that nobody wrote one for.
"""

from __future__ import annotations

from typing import Any

from adapters.contract import Model
from scenarios.architectures import llama


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Llama's, with a bias behind the weight of each norm."""
    result: dict[str, tuple[int, ...]] = {}
    for name, shape in llama.shapes(model).items():
        result[name] = shape
        if name.endswith("norm.weight"):
            result[name.removesuffix("weight") + "bias"] = shape
    return result


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone."""
    return {
        "architectures": ["StableLmForCausalLM"],
        **llama.rotary(model),
        "layer_norm_eps": model.rms_eps,
        "partial_rotary_factor": 0.5,
        "hidden_act": "silu",
        "use_qkv_bias": False,
        "qk_layernorm": False,
        "use_parallel_residual": False,
        "hidden_dropout": 0.0,
    }

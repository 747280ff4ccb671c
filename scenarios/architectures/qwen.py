"""Qwen 2 and 3: what transformers' `Qwen2ForCausalLM` and `Qwen3ForCausalLM` hold, and their `config.json`."""

from __future__ import annotations

from typing import Any

from adapters.contract import Model
from scenarios.architectures import llama

Shapes = dict[str, tuple[int, ...]]


def shapes2(model: Model) -> Shapes:
    """Llama's, with a bias behind each of the matrices of queries, keys and values."""
    result: Shapes = {}
    for name, shape in llama.shapes(model).items():
        result[name] = shape
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            result[name.removesuffix("weight") + "bias"] = shape[:1]
    return result


def shapes3(model: Model) -> Shapes:
    """Llama's, with a norm on every head's query and key."""
    result: Shapes = {}
    for name, shape in llama.shapes(model).items():
        result[name] = shape
        if name.endswith("o_proj.weight"):
            at = name.removesuffix("o_proj.weight")
            result |= {f"{at}q_norm.weight": (model.head_dim,), f"{at}k_norm.weight": (model.head_dim,)}
    return result


def config2(model: Model) -> dict[str, Any]:
    """What `config.json` says of Qwen 2 alone."""
    return {"architectures": ["Qwen2ForCausalLM"], **_common(model)}


def config3(model: Model) -> dict[str, Any]:
    """What `config.json` says of Qwen 3 alone."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        **_common(model),
        "head_dim": model.head_dim,
        "attention_bias": False,
    }


def _common(model: Model) -> dict[str, Any]:
    return {**llama.common(model), "use_sliding_window": False}

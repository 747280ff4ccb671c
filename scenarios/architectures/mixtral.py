"""Mixtral: what a checkpoint of transformers' `MixtralForCausalLM` holds, and its `config.json`.

Files name every matrix of every expert. So does the model up to transformers 4; since 5.0 it holds all experts of a
layer in two parameters, and has other names for the rest of the block.
"""

from __future__ import annotations

from typing import Any

from adapters.contract import Model
from scenarios.architectures import llama
from scenarios.architectures.stacked import Stacked

_GATE, _DOWN, _UP = "w1", "w2", "w3"
"""What Mixtral calls the three matrices of SwiGLU."""


def block(layer: int) -> str:
    """What the names of a layer's router and experts begin with."""
    return f"model.layers.{layer}.block_sparse_moe"


def expert(layer: int, number: int) -> dict[str, str]:
    """Names of an expert's matrices by what they are for: `gate`, `up` and `down`."""
    at = f"{block(layer)}.experts.{number}"
    return {"gate": f"{at}.{_GATE}.weight", "up": f"{at}.{_UP}.weight", "down": f"{at}.{_DOWN}.weight"}


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order of the model."""
    hidden, inner = model.hidden_size, model.intermediate_size
    result: dict[str, tuple[int, ...]] = {}
    for name, shape in llama.shapes(model).items():
        if ".mlp." not in name:
            result[name] = shape
        elif name.endswith(".gate_proj.weight"):  # the first of the MLP, whose place the experts take
            layer = int(name.split(".")[2])
            result[f"{block(layer)}.gate.weight"] = (model.experts, hidden)
            for number in range(model.experts):
                names = expert(layer, number)
                result |= {names["gate"]: (inner, hidden), names["down"]: (hidden, inner), names["up"]: (inner, hidden)}
    return result


def stacked(model: Model) -> dict[str, Stacked]:
    """What transformers holds since 5.0: gate above up, expert by expert; down; and the router by another name."""
    hidden, inner = model.hidden_size, model.intermediate_size
    result: dict[str, Stacked] = {}
    for layer in range(model.layers):
        every, at = [expert(layer, number) for number in range(model.experts)], f"model.layers.{layer}.mlp"
        result |= {
            f"{at}.gate.weight": Stacked((model.experts, hidden), (f"{block(layer)}.gate.weight",)),
            f"{at}.experts.gate_up_proj": Stacked(
                (model.experts, 2 * inner, hidden), tuple(names[kind] for names in every for kind in ("gate", "up"))
            ),
            f"{at}.experts.down_proj": Stacked((model.experts, hidden, inner), tuple(n["down"] for n in every)),
        }
    return result


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone."""
    return {
        "architectures": ["MixtralForCausalLM"],
        **llama.common(model),
        "head_dim": model.head_dim,
        "sliding_window": None,
        "num_local_experts": model.experts,
        "num_experts_per_tok": model.experts_per_token,
        "router_jitter_noise": 0.0,
    }

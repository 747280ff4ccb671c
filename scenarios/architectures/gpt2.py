"""GPT-2: what transformers' `GPT2LMHeadModel` holds, and its `config.json`."""

from __future__ import annotations

from typing import Any

from adapters.contract import Model


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order of the model.

    Its matrices are those of `Conv1D`, stored transposed: rows are inputs.
    """
    hidden, inner = model.hidden_size, model.intermediate_size
    result: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (model.vocab_size, hidden),
        "transformer.wpe.weight": (model.max_positions, hidden),
    }
    for i in range(model.layers):
        at = f"transformer.h.{i}"
        result |= {
            **_norm(f"{at}.ln_1", hidden),
            **_conv1d(f"{at}.attn.c_attn", hidden, 3 * hidden),
            **_conv1d(f"{at}.attn.c_proj", hidden, hidden),
            **_norm(f"{at}.ln_2", hidden),
            **_conv1d(f"{at}.mlp.c_fc", hidden, inner),
            **_conv1d(f"{at}.mlp.c_proj", inner, hidden),
        }
    head = {} if model.tied_embeddings else {"lm_head.weight": (model.vocab_size, hidden)}
    return result | _norm("transformer.ln_f", hidden) | head


def _norm(at: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (size,), f"{at}.bias": (size,)}


def _conv1d(at: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (inputs, outputs), f"{at}.bias": (outputs,)}


def config(model: Model) -> dict[str, Any]:
    """What `config.json` says of this family alone: names of its own, and no dropout, which it has by default."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": model.hidden_size,
        "n_layer": model.layers,
        "n_head": model.heads,
        "n_positions": model.max_positions,
        "n_inner": model.intermediate_size,
        "layer_norm_epsilon": model.rms_eps,
        "activation_function": "gelu_new",
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }

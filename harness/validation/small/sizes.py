"""What is shrunk of a config.json, and to what; all else of it decides a step and is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import whole

WIDTH, LAYERS, HEADS, POSITIONS, HEAD = 128, 2, 4, 1024, 32
WIDTHS = ("hidden_size", "n_embd", "n_embed", "d_model")
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_KV = ("num_key_value_heads", "num_kv_heads")

MOST: Mapping[str, int] = {
    **dict.fromkeys(WIDTHS, WIDTH),
    **dict.fromkeys(DEPTHS, LAYERS),
    "word_embed_proj_dim": WIDTH,
    "head_dim": HEAD, "intermediate_size": 256, "n_inner": 256, "ffn_dim": 256, "ffn_hidden_size": 256,
    "shared_expert_intermediate_size": 64, "moe_intermediate_size": 64,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "num_selected_experts": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
    "max_position_embeddings": POSITIONS, "n_positions": POSITIONS, "n_ctx": POSITIONS, "sliding_window": POSITIONS,
    "sliding_window_pattern": 2, "no_rope_layer_interval": 2,
}  # fmt: skip
"""Each key of a size, and the most that it is here."""
_MAY_BE_0 = ("first_k_dense_replace", "no_rope_layer_interval", "sliding_window_pattern", "sliding_window")
_BY_LAYER = ("layer_types", "no_rope_layers", "mlp_layer_types", "attention_layers")
_N = ("gpt2", "gpt_bigcode", "gptj", "codegen", "openai-gpt")
"""Architectures that call their sizes n_*."""


def shrunk(config: Mapping[str, Any], at: str, kind: str = "llama") -> dict[str, Any]:
    """The same with small sizes, and with those that it does not say. at: where it stands. Raises BadConfiguration."""
    result = dict(config)
    for key, most in MOST.items():
        if (value := _size(config, key, at)) is not None:
            result[key] = min(value, most)
        elif key in config:
            result[key] = None
    result |= _heads(config, at)
    for key in _BY_LAYER:
        if isinstance(config.get(key), list):
            result[key] = _two(config[key])
    if (full := _size(config, "max_window_layers", at)) is not None:
        layers = next((_size(config, key, at) for key in DEPTHS if key in config), None)
        result["max_window_layers"] = min(full, LAYERS if layers is None or full >= layers else 1)
    for key in ("rope_scaling", "rope_parameters"):
        if isinstance(rope := config.get(key), Mapping):
            result[key] = _rope(rope, config)
            if "original_max_position_embeddings" in rope and "max_position_embeddings" in config:
                result["max_position_embeddings"] = config["max_position_embeddings"]  # it says by how much
    return _missing(kind, result.get("num_attention_heads", HEADS)) | result


def _size(config: Mapping[str, Any], key: str, at: str) -> int | None:
    value = config.get(key)
    if value is None or value is False:  # a window that there is not
        return None
    return whole(value, f"{at}: {key}", 0 if key in _MAY_BE_0 or key == "max_window_layers" else 1)


def _heads(config: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Heads that the width is a multiple of, and as grouped as they are."""
    many = {key: heads for key in _HEADS if (heads := _size(config, key, at)) is not None}
    grouped = {key: heads for key in _KV if (heads := _size(config, key, at)) is not None}
    heads = next(iter(many.values()), None)
    if heads is not None and (over := next((key for key, kv in grouped.items() if kv > heads), None)):
        raise BadConfiguration(f"{at}: {over} is {grouped[over]}, more than the {heads} heads")
    width = next((_size(config, key, at) for key in WIDTHS if key in config), None)
    if width is not None and width <= WIDTH:
        return {}
    now = next(each for each in (HEADS, 2, 1) if heads is None or each <= heads)
    return {
        **dict.fromkeys(many, now),
        **{key: now if kv == heads else min(kv, 2, max(1, now // 2)) for key, kv in grouped.items()},
    }


def _two(values: list[Any]) -> list[Any]:
    """The first, and the first that is another one: where layers are of two kinds, both are there."""
    other = next((each for each in values if each != values[0]), None) if values else None
    return values[:LAYERS] if other is None else [values[0], other]


def _rope(rope: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """As it is; a factor for each frequency of a head, for those that there are."""
    wide = _size(config, "head_dim", "config.json") or _ratio(config)
    small = min(HEAD, wide)
    lists = {key: value for key, value in rope.items() if isinstance(value, list) and key.endswith("_factor")}
    return {**rope, **{key: value[: max(1, len(value) * small // wide)] for key, value in lists.items()}}


def _ratio(config: Mapping[str, Any]) -> int:
    width, heads = (_size(config, key, "config.json") for key in ("hidden_size", "num_attention_heads"))
    return max(1, width // heads) if width and heads else HEAD


def _missing(kind: str, heads: int) -> dict[str, Any]:
    """Sizes that a config.json may leave to the defaults of its architecture, which are large."""
    if kind in _N:
        return {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": POSITIONS}
    found = {
        "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "max_position_embeddings": POSITIONS,
    }  # fmt: skip
    if kind == "opt":
        return found | {"ffn_dim": 128, "word_embed_proj_dim": WIDTH}
    return found | {"intermediate_size": 128, _KV[0]: heads}

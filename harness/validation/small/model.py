"""The model and tokenizer of a small run: tiny ones of the configuration's own architecture and family."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.validation.read import bounded, redaction
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration, Family
from harness.validation.small import families, sizes, tokens

KEYS: Mapping[Family, tuple[str, ...]] = {
    "llamafactory": ("model_name_or_path",),
    "trl": ("model_name_or_path", "model_name"),
    "trainer": ("model_name_or_path", "model_name"),
    "openrlhf": ("pretrain", "model.model_name_or_path"),
    "verl": ("model.partial_pretrain", "model.path"),
    "axolotl": ("base_model",),
    "ms-swift": ("model",),
}
_NOT_KEPT = ("model_type", "auto_map", "quantization_config", "vision_config", "audio_config", "custom_pipelines")
"""Keys of a config.json that a small text model without code of others and with weights of its own has not."""
_OUTSIDE = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "torch_dtype", "dtype")
"""Keys that stand beside the text model's own, where there is more than text."""
_DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Described:
    """What `adapters.given.checkpoint` makes a checkpoint of."""

    model_type: str
    config: Mapping[str, Any]
    """Of transformers, for that model type; `torch_dtype` is that of the weights."""
    tokenizer: Mapping[str, Any]
    said: str
    """One sentence for the ledger."""
    not_covered: tuple[str, ...]

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def name(configuration: Configuration) -> str | None:
    """What it calls its model: a name, or a folder."""
    found = configuration.value(*KEYS[configuration.family])
    return str(found) if found else None


def describe(configuration: Configuration, near: Path) -> Described:
    """By the model's config.json where it is at hand, else by its name. near: the folder that a relative path is looked
    for in. Raises BadConfiguration."""
    called = name(configuration)
    folder = _folder(called, near)
    return _by_name(called) if called is None or folder is None else _by_config(called, folder)


def templated(described: Described, told: Any, marked: bool) -> Described:
    """With a chat template of the configuration's own, if that is one; else the model's, else ChatML, for TRL's script
    would fetch a template then. marked: whether it must mark what the assistant says."""
    if isinstance(told, str) and "{%" in told:
        return replace(described, tokenizer={**described.tokenizer, "chat_template": told, "published": ""})
    if described.tokenizer["chat_template"] is not None:
        return described
    family = replace(families.NOBODY, template="marked") if marked else families.NOBODY
    tokenizer = {**tokens.of_family(family), "own_template": None, "own_published": ""}
    config = {**described.config, **tokens.ids(tokenizer, pad=True), "vocab_size": tokens.vocabulary(tokenizer)}
    missing = "the tokenizer: the model has no chat template, and ChatML with its own tokens is in its place"
    return replace(described, config=config, tokenizer=tokenizer, not_covered=(*described.not_covered, missing))


def ending(described: Described, token: Any) -> Described:
    """With that token among those that end a text, as an option of TRL's says."""
    number = tokens.number(described.tokenizer, token) if isinstance(token, str) else None
    if number is None:
        return described
    own = described.config.get("eos_token_id")
    ends = [number, *(own if isinstance(own, list) else [own])]
    return replace(described, config={**described.config, "eos_token_id": [e for e in ends if e is not None]})


def as_llama(described: Described, why: str) -> Described:
    """The same tokenizer with a Llama, where nothing installed knows the architecture."""
    ids = {key: value for key, value in described.config.items() if key.endswith("_token_id")}
    same = ("tie_word_embeddings", "torch_dtype", "vocab_size")
    kept = {key: described.config[key] for key in same if key in described.config}
    config = {
        **sizes.shrunk(families.NOBODY.settings(None), "config.json"),
        "vocab_size": described.config["vocab_size"],
    }
    missing = f"{why}: a Llama runs instead; a fault inside the architecture would not show"
    config |= ids | kept
    return replace(
        described,
        model_type="llama",
        config=config,
        said=_said("llama", config, "in the place of its own architecture"),
        not_covered=(*described.not_covered, redaction.line(missing)),
    )


def _folder(called: str | None, near: Path) -> Path | None:
    """Where the model's config.json lies."""
    try:
        folder = near / Path(called or "").expanduser()
        return folder if called and (folder / "config.json").is_file() else None
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; a home that nobody has
        return None


def _by_name(called: str | None) -> Described:
    family = families.of(called) or families.NOBODY
    shown = redaction.line(called or "", 120)
    missing, by = [], "by its name"
    if called and families.is_multimodal(called):
        missing.append(f"{shown} is not of text alone: its text model runs without the rest")
    if family is families.NOBODY:
        who = f"nobody knows the architecture of {shown}" if called else "it names no model"
        by = "in the place of one that is not known"
        missing.append(f"{who}: a Llama runs instead, with ChatML; a fault inside the architecture would not show")
    if family.short:
        missing.append(f"{shown}: {family.short}")
    config = sizes.shrunk(family.settings(families.billions(called or "")), shown, family.kind)
    tokenizer = tokens.of_family(family)
    config |= tokens.ids(tokenizer, family.padding_idx)
    config |= {"vocab_size": tokens.vocabulary(tokenizer), "torch_dtype": family.dtype}
    return Described(family.kind, config, tokenizer, _said(family.kind, config, by), tuple(missing))


def _by_config(called: str, folder: Path) -> Described:
    path = folder / "config.json"
    whole = bounded.mapping(path).values
    inner = whole.get("text_config")
    text = {**{key: whole[key] for key in _OUTSIDE if key in whole}, **inner} if isinstance(inner, dict) else whole
    kind, missing = text.get("model_type"), []
    if not isinstance(kind, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kind):
        raise BadConfiguration(f"{path} has no model_type")
    shown = redaction.line(called, 120)
    inside = families.text_kind(kind)
    if text is not whole or inside != kind or "vision_config" in whole:
        missing.append(f"{shown} is not of text alone: its text model ({inside}) runs without the rest")
    if text.get("quantization_config"):
        missing.append("its weights are quantized: others run instead, which are not")
    kept = {key: value for key, value in text.items() if not key.startswith("_") and key not in _NOT_KEPT}
    if inside != kind:
        kept.pop("rope_scaling", None)  # by three axes of a picture
    for key in ("attn_implementation", "dtype"):
        kept.pop(key, None)
    config = sizes.shrunk(kept, str(path), inside)
    tokenizer, said = tokens.of_folder(folder, families.of(called) or families.NOBODY)
    config = tokens.renumbered(config, tokenizer)
    config |= {"vocab_size": tokens.vocabulary(tokenizer), "torch_dtype": _dtype(text)}
    return Described(inside, config, tokenizer, _said(inside, config, "by its config.json"), (*missing, *said))


def _dtype(config: Mapping[str, Any]) -> str:
    found = str(config.get("torch_dtype") or config.get("dtype") or "").removeprefix("torch.")
    return found if found in _DTYPES else "float32"


def _said(kind: str, config: Mapping[str, Any], by: str) -> str:
    wide = next((config[key] for key in sizes.WIDTHS if key in config), sizes.WIDTH)
    layers = next((config[key] for key in sizes.DEPTHS if key in config), sizes.LAYERS)
    tied = {True: ", tied", False: ", untied"}.get(config.get("tie_word_embeddings", -1), "")
    return f"{families.title(kind)} of {layers} layers and {wide} wide{tied}, made from a seed: {by}"

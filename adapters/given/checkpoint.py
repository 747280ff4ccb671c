"""A checkpoint of the model and tokenizer that a description says, made by the transformers that is installed.

    python -m adapters.given.checkpoint DESCRIPTION.json FOLDER

Exit status 3 and one line where this transformers makes no such model.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

UNKNOWN = 3
LARGEST = 20_000_000
"""Parameters: a size that was not shrunk would take the memory of the machine."""
SEED = 1
ROLES = ("bos", "eos", "pad", "unk")
"""Where there is none of a kind, that is said: a class that transformers chooses by the architecture may have one."""
TOKENS = "tokens.json"
"""Beside the checkpoint: what a reader of token ids needs to know."""
ASKED, ANSWERED = "how", "two"
STD = 0.08
SPREAD = 0.02
"""Of biases and norms around what they begin with, so that what is done to them alone is seen."""


class Unknown(Exception):
    """This transformers makes no such model; one line."""


def write(described: Mapping[str, Any], folder: Path) -> None:
    """Model and tokenizer. Raises Unknown."""
    config = dict(described["config"])
    dtype = getattr(torch, config.pop("torch_dtype"))
    model = _model(described["model_type"], config)
    folder.mkdir(parents=True, exist_ok=True)
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    tokenizer = _tokenizer(described["tokenizer"])
    tokenizer.save_pretrained(folder)
    (folder / TOKENS).write_text(json.dumps(_tokens(described, tokenizer)), encoding="utf-8")
    saved = folder / "tokenizer_config.json"
    none = {f"{role}_token": None for role in ROLES if not described["tokenizer"][role]}
    saved.write_text(json.dumps({**json.loads(saved.read_text(encoding="utf-8")), **none}, indent=2), encoding="utf-8")


def _model(kind: str, told: dict[str, Any]) -> Any:
    release = f"transformers {transformers.__version__}"
    if kind not in transformers.CONFIG_MAPPING:
        raise Unknown(f"{release} knows no {kind}")
    try:
        config = transformers.AutoConfig.for_model(kind, **_for_release(told))
        spread = "init_std" if hasattr(config, "init_std") else "initializer_range"
        own = getattr(config, spread, None)
        setattr(config, spread, STD)
        with torch.device("meta"):
            count = sum(p.numel() for p in transformers.AutoModelForCausalLM.from_config(config).parameters())
        if count > LARGEST:
            raise Unknown(f"{release} makes a {kind} of {count} parameters where a small one is meant")
        torch.manual_seed(SEED)
        model = transformers.AutoModelForCausalLM.from_config(config).float()
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, ImportError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unknown(f"{release} makes no {kind} of these sizes: {first[:200]}") from None
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * SPREAD)
    if own is not None:
        setattr(model.config, spread, own)
    return model


def _for_release(told: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of rotary positions, as transformers before 5 reads what 5 has written."""
    rope = told.get("rope_parameters")
    if int(transformers.__version__.split(".")[0]) >= 5 or not isinstance(rope, Mapping) or "rope_theta" not in rope:
        return dict(told)
    scaled = {key: value for key, value in rope.items() if key != "rope_theta"}
    plain = scaled.get("rope_type", "default") == "default"
    others = {key: value for key, value in told.items() if key != "rope_parameters"}
    return {**others, "rope_theta": rope["rope_theta"], "rope_scaling": None if plain else scaled}


def _tokenizer(described: Mapping[str, Any]) -> Any:
    """256 bytes, what they are merged to, and the special tokens."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = [(left, right) for left, right in described["merges"]]
    pieces = [*letters, *(left + right for left, right in merges)]
    made = tokenizers.Tokenizer(tokenizers.models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([tokenizers.AddedToken(t, special=True, normalized=False) for t in described["special"]])
    processors = [tokenizers.processors.ByteLevel(trim_offsets=False)]
    if described["bos_first"] and (bos := described["bos"]):
        first = {"single": [bos, "$A"], "pair": [bos, "$A", bos, "$B"]}
        ids = [(bos, made.token_to_id(bos))]
        processors.append(tokenizers.processors.TemplateProcessing(**first, special_tokens=ids))
    made.post_processor = tokenizers.processors.Sequence(processors)
    roles = {f"{role}_token": described[role] for role in ROLES if described[role]}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        padding_side=described["padding_side"],
        model_max_length=described["model_max_length"],
        clean_up_tokenization_spaces=False,
        **roles,
    )
    tokenizer.chat_template = _published(described["published"]) or described["chat_template"]
    return tokenizer


def _tokens(described: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """What special tokens are called, which end a text, and those around an answer in the model's own template."""
    ends = described["config"].get("eos_token_id")
    told = {
        "special": {str(tokenizer.convert_tokens_to_ids(token)): token for token in described["tokenizer"]["special"]},
        "bos": tokenizer.bos_token_id,
        "eos": sorted({*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}),
    }
    template = _published(described["tokenizer"]["own_published"]) or described["tokenizer"]["own_template"]
    if template is None:
        return {**told, "before": None, "after": None}
    turns = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    text = ""
    with contextlib.suppress(Exception):  # a template may raise whatever it likes
        text = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False)
    if ANSWERED not in text:
        return {**told, "before": None, "after": None}
    before, _, after = text.rpartition(ANSWERED)
    return {**told, **{name: _ids(tokenizer, part) for name, part in (("before", before), ("after", after))}}


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def _published(name: str) -> str | None:
    """TRL's copy of a published template, where a release has one: it knows the template by its letters."""
    found = importlib.util.find_spec("trl") if name else None
    places = found.submodule_search_locations if found else None
    files = [Path(place) / "chat_templates" / f"{name}.jinja" for place in places or ()]
    return next((file.read_text(encoding="utf-8") for file in files if file.is_file()), None)


def main() -> int:
    description, folder = sys.argv[1:]
    try:
        write(json.loads(Path(description).read_text(encoding="utf-8")), Path(folder))
    except Unknown as error:
        print(error, file=sys.stderr)
        return UNKNOWN
    return 0


if __name__ == "__main__":
    sys.exit(main())

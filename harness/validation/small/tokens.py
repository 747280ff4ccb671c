"""The tokenizer of a small run: 256 bytes, the words that its rows are made of, and the special tokens and the template
of the configuration's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.validation.read import bounded
from harness.validation.read.bounded import BadConfiguration
from harness.validation.small.families import Family
from harness.validation.small.rows import WORDS

BYTES = 256
TEMPLATES = (
    "user", "assistant", "system", "model", "human", "You", "are", "helpful", "<|", "|>", "start", "end", "im", "INST",
    "Qwen", "created", "Alibaba", "Cloud", "AI", "named", "trained", "Hugging", "Face",
)  # fmt: skip
"""Words that templates write around a text."""


def merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Of byte pair encoding, so that each word is one token, also behind a space: a letter more in each."""
    found: dict[tuple[str, str], None] = {}
    for word in words:
        for whole in (word, f"\u0120{word}"):  # how the bytes of a space are written
            found |= {(whole[:end], whole[end]): None for end in range(1, len(whole))}
    return list(found)


MERGES = merges((*WORDS, *TEMPLATES))
FIRST = BYTES + len(MERGES)
"""Id of the first special token."""
MOST = 1024
"""Special tokens."""
ROLES = ("bos", "eos", "pad", "unk")
_CONFIG = ("bos_token_id", "eos_token_id", "pad_token_id")
_NO_BOS = ("Qwen2Tokenizer", "GPT2Tokenizer")


def of_family(family: Family) -> dict[str, Any]:
    """What the checkpoint's tokenizer is made of: `special` in the order of their ids, from `FIRST` on."""
    roles = {role: getattr(family, role) for role in ROLES}
    return {
        "special": _once([*roles.values(), *family.special]),
        "merges": MERGES,
        **roles,
        "bos_first": family.first,
        "padding_side": family.padding_side,
        "model_max_length": family.length,
        **templates(family.chat_template(), family.published),
    }


def templates(own: str | None, published: str) -> dict[str, Any]:
    """The model's own chat template, and as long as the configuration gives no other one that which is used."""
    return {"chat_template": own, "published": published, "own_template": own, "own_published": published}


def vocabulary(tokenizer: Mapping[str, Any]) -> int:
    """Rows of the embedding: of all tokens, up to a multiple of 64."""
    return -(-(FIRST + len(tokenizer["special"])) // 64) * 64


def number(tokenizer: Mapping[str, Any], token: str | None) -> int | None:
    return FIRST + tokenizer["special"].index(token) if token in tokenizer["special"] else None


def ids(tokenizer: Mapping[str, Any], pad: bool) -> dict[str, int | None]:
    """What config.json says of them. pad: whether that names the padding token too."""
    found = {f"{role}_token_id": number(tokenizer, tokenizer[role]) for role in ("bos", "eos", "pad")}
    return found if pad else {**found, "pad_token_id": None}


def of_folder(folder: Path, family: Family) -> tuple[dict[str, Any], list[str]]:
    """By the files of a checkpoint, else by the family of its name; and what of it is not covered."""
    base = of_family(family)
    said: dict[str, Any] = {}
    missing = []
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / file).exists():
            try:
                said |= bounded.mapping(folder / file).values
            except BadConfiguration as error:
                missing.append(f"its special tokens, but for those of its family: {error}")
    if not said:
        missing += [] if missing else ["its tokenizer is not at hand: special tokens and template are by its name"]
        return base, missing
    numbered = _numbered(said.get("added_tokens_decoder"))
    template = _template(folder, said)
    roles = {role: _content(said.get(f"{role}_token")) for role in ROLES}
    others = list(numbered.values()) if numbered else [*base["special"], *_extra(said), *_looks(template)]
    special = _once([*roles.values(), *others])
    if len(special) > MOST:
        raise BadConfiguration(f"{folder} has {len(special)} special tokens, and {MOST} are read")
    result = {
        "special": special,
        "merges": MERGES,
        **roles,
        "bos_first": bool(roles["bos"]) and _puts_bos(said),
        "padding_side": "left" if said.get("padding_side") == "left" else "right",
        "model_max_length": _length(said.get("model_max_length")) or base["model_max_length"],
        **templates(template, ""),
        "numbered": {str(id_): token for id_, token in numbered.items()},
    }
    return result, missing


def renumbered(config: Mapping[str, Any], tokenizer: dict[str, Any]) -> dict[str, Any]:
    """A config.json with the ids that its tokens have here. `numbered` goes: it says which token an old id was."""
    numbered = tokenizer.pop("numbered", {})

    def now(key: str, old: Any) -> Any:
        if isinstance(old, list):
            return [new for new in (now(key, each) for each in old) if new is not None] or None
        role = tokenizer.get(key.removesuffix("_token_id"))
        return None if old is None else number(tokenizer, numbered.get(str(old), role))

    told = {key: now(key, value) for key, value in config.items() if key.endswith("_token_id")}
    kept = {key: value for key, value in config.items() if not re.search(r"_token_(?:ids?|index)\Z", key)}
    known = {key: value for key, value in told.items() if value is not None or key in _CONFIG}
    return {**kept, **ids(tokenizer, False), **known}


def _once(found: list[str | None]) -> list[str]:
    return list(dict.fromkeys(token for token in found if token))


def _content(token: Any) -> str | None:
    found = token.get("content") if isinstance(token, Mapping) else token
    return found if isinstance(found, str) and found else None


def _numbered(decoder: Any) -> dict[int, str]:
    """Tokens by their ids, in that order."""
    if not isinstance(decoder, Mapping):
        return {}
    found = {int(key): _content(value) for key, value in decoder.items() if re.fullmatch(r"[0-9]{1,9}", key)}
    return {key: token for key, token in sorted(found.items()) if token}


def _extra(said: Mapping[str, Any]) -> list[str | None]:
    found = [said.get(key) or [] for key in ("additional_special_tokens", "extra_special_tokens")]
    return [_content(token) for some in found if isinstance(some, list) for token in some]


def _looks(template: str | None) -> list[str]:
    """What looks like a special token in a template."""
    return re.findall(r"<\|[\w-]{1,40}\|>", template or "")


def _template(folder: Path, said: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return bounded.text(path, str(path), "is no template: it has")
    found = said.get("chat_template")
    if isinstance(found, list):
        named = [each for each in found if isinstance(each, Mapping)]
        found = next((each.get("template") for each in named if each.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _puts_bos(said: Mapping[str, Any]) -> bool:
    """Whether the tokenizer puts the bos in front: as it says, else as its class does."""
    told = said.get("add_bos_token")
    return told if isinstance(told, bool) else str(said.get("tokenizer_class")).removesuffix("Fast") not in _NO_BOS


def _length(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < 1e31 else None

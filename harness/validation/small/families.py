"""What is known of published models by their names."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).with_name("families.toml")
_KV = {"grouped": 2, "all": 4, "one": 1}


@dataclass(frozen=True)
class Family:
    """One table of `families.toml`, which says what each key is."""

    kind: str
    config: Mapping[str, Any]
    special: tuple[str, ...]
    eos: str
    tied: float | bool
    names: tuple[str, ...] = ()
    heads: Literal["grouped", "all", "one", "plain"] = "grouped"
    dtype: str = "bfloat16"
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None
    padding_idx: bool = False
    padding_side: str = "right"
    first: bool = False
    length: int = 131072
    template: str | None = None
    published: str = ""
    system: str = ""
    short: str = ""
    like: str = field(default="", repr=False)

    def tied_at(self, billions: float | None) -> bool:
        """Whether the head is the embedding, for a model of that many parameters."""
        if isinstance(self.tied, bool):
            return self.tied
        return billions is not None and billions < self.tied + 0.5

    def settings(self, billions: float | None) -> dict[str, Any]:
        """Of config.json, for a model of that many parameters, without sizes but for how heads are grouped."""
        kv = {"num_key_value_heads": _KV[self.heads]} if self.heads in _KV else {}
        return {**self.config, "tie_word_embeddings": self.tied_at(billions), **kv}

    def chat_template(self) -> str | None:
        """With the system message that it says by itself."""
        if self.template is None:
            return None
        own = f"{{% set default_system = {json.dumps(self.system)} %}}" if self.system else ""
        return own + "".join(_read()["template"][self.template].splitlines())


@functools.cache
def _read() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


@functools.cache
def every() -> Mapping[str, Family]:
    """Each family, in the order in which names are tried."""
    tables = _read()["family"]
    return {key: _family(_over(tables, key)) for key in tables}


def _over(tables: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table over that which it is like."""
    like = tables[key].get("like")
    return {**(_over(tables, like) if like else {}), **tables[key]}


def _family(table: Mapping[str, Any]) -> Family:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Family(**values)


NOBODY = _family(_read()["nobody"])
"""Of a name that nothing fits: a Llama with ChatML."""


def of(name: str | None) -> Family | None:
    """The family of a name; of a path, its last part decides, where that says anything."""
    whole = (name or "").lower().rstrip("/")
    for part in dict.fromkeys((whole.rpartition("/")[2], whole)):
        for family in every().values():
            if any(fnmatch.fnmatchcase(part, pattern) for pattern in family.names):
                return family
    return None


def billions(name: str) -> float | None:
    """How many parameters a name says."""
    found = re.findall(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,3})?)(b|m)(?![a-z0-9])", name.lower())
    return float(found[-1][0]) / (1 if found[-1][1] == "b" else 1000) if found else None


def is_multimodal(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in _read()["multimodal"]["names"])


def text_kind(kind: str) -> str:
    """The architecture for text alone that is inside of one."""
    return str(_read()["multimodal"]["inside"].get(kind, kind))


def title(kind: str) -> str:
    """What people call an architecture, with its article."""
    return str(_read()["called"].get(kind, f"a {kind} model"))

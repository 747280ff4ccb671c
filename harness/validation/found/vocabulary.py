"""What token ids are in a small run: which are special, which end a text, and those of the model's own template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.contract import ADDED
from harness import printable
from harness.validation.read import bounded

TOKENS = "tokens.json"
"""Of the checkpoint, as `adapters.given.checkpoint` leaves it."""


@dataclass(frozen=True)
class Vocabulary:
    """Of the model and of the tokenizer that a run had."""

    special: dict[int, str]
    bos: int | None
    eos: frozenset[int]
    """By the tokenizer and by the model's configuration."""
    end: int | None
    """The special token behind an answer in the model's own template; None without such."""
    marks: frozenset[int]
    """Special tokens that this template writes before an answer, but for the one in front of all."""

    def without_template(self) -> Vocabulary:
        """For texts that no template is for."""
        return replace(self, end=None, marks=frozenset())

    def name(self, token: int | None) -> str:
        """In words."""
        return "nothing" if token is None else printable.line(self.special.get(token, f"the token {token}"), 40)

    def names(self, some: Iterable[int | None]) -> str:
        return " or ".join(self.name(each) for each in some)


def read(model: Path, run: Path) -> Vocabulary:
    """model, run: the folders of the checkpoint and of the run. Raises BadConfiguration."""
    told = bounded.mapping(model / TOKENS).values
    added = bounded.mapping(run / ADDED).values if (run / ADDED).is_file() else {}
    special = {int(key): str(token) for key, token in told["special"].items()}
    special |= {id_: token for token, id_ in added.items() if isinstance(id_, int)}
    before, after = ([id_ for id_ in told[part] or [] if id_ in special] for part in ("before", "after"))
    bos: Any = told["bos"]
    return Vocabulary(
        special,
        bos,
        frozenset(told["eos"]),
        after[0] if after else None,
        frozenset(before) - {bos},
    )

"""A framework's own program with a user's options, as each of its ranks is started."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.contract.precision import Compute
from adapters.contract.scenario import to_dict

SHIMS = "shims.json"
"""What was changed for a run, in the folder that it ran in."""
ADDED = "added.json"
"""Ids of the tokens that the tokenizer of a run has beside its plain ones, in that folder too."""

Sharded = Literal["none", "fsdp", "fsdp1"]


@dataclass(frozen=True)
class Given:
    """One run."""

    framework: str
    """A key of the recipes."""
    program: str
    """The module that is run."""
    words: tuple[str, ...]
    """Its own."""
    steps: int
    """Optimizer steps after which it is stopped, at the end of one."""
    stage: int | None = None
    """Of ZeRO; None without DeepSpeed."""
    compute: Compute = "fp32"
    sharded: Sharded = "none"
    """By FSDP2 or FSDP1."""
    more: dict[str, Any] = field(default_factory=dict)
    """What a framework needs to be told beside its words."""

    def dumps(self) -> str:
        return json.dumps(to_dict(self))

    @staticmethod
    def loads(text: str) -> Given:
        data = json.loads(text)
        return Given(**{**data, "words": tuple(data["words"])})

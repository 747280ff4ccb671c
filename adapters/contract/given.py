"""A framework's own program with a user's options, as each of its ranks is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.contract.precision import Compute
from adapters.contract.scenario import Device, to_dict

SHIMS = "shims.json"
"""What was changed for a run, in the folder that it ran in."""
ADDED = "added.json"
"""Ids of the tokens that the tokenizer of a run has beside its plain ones, in that folder too."""

LIGER: Mapping[str, str] = {"liger-kernel": "0.8.5", "triton": "3.9.0"}
"""What an environment is asked for with, so that it has Liger's kernels."""
INTERPRETED = (
    "glm4", "granite", "llama", "mistral", "olmo2", "olmo3", "phi3", "qwen2", "qwen3", "smollm3",
)  # fmt: skip
"""Families whose kernels Triton's interpreter runs: it has no tanh, which soft caps and Gemma need, and no device for
experts. Losses and gradients are those of transformers, within 1.1e-6 of their length."""

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
    device: Device = "cpu"
    compute: Compute = "fp32"
    sharded: Sharded = "none"
    """By FSDP2 or FSDP1."""
    liger: bool = False
    """Whether Liger's kernels are asked for."""
    more: dict[str, Any] = field(default_factory=dict)
    """What a framework needs to be told beside its words."""

    def dumps(self) -> str:
        return json.dumps(to_dict(self))

    @staticmethod
    def loads(text: str) -> Given:
        data = json.loads(text)
        return Given(**{**data, "words": tuple(data["words"])})

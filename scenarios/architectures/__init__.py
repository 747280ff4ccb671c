"""Families of models as files: what parameters a model of a family has, and what its `config.json` says.

Each is named as in `adapters.contract.Architecture`. The oracle's forward pass of it, if it has one, is
in `harness.oracle.architectures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.contract import Architecture, Model
from scenarios.architectures import gemma2, gpt2, llama, mixtral, qwen, stablelm
from scenarios.architectures.stacked import Stacked


@dataclass(frozen=True)
class Family:
    """What the checkpoint of a model of this family consists of."""

    shapes: Callable[[Model], dict[str, tuple[int, ...]]]
    """Name and shape of every parameter, by the names and in the order of transformers' class."""
    config: Callable[[Model], dict[str, Any]]
    """What `config.json` says of this family alone."""
    vectors_around: Callable[[str], float] = lambda _: 1.0
    """What the initial entries of a vector of that name lie around: 1 for the weights of norms, 0 for biases."""
    tokenizer: Literal["words", "pieces"] = "words"
    """As in `scenarios.text`, or in `scenarios.pieces`."""
    stacked: Callable[[Model], dict[str, Stacked]] = lambda _: {}
    """Parameters that some releases of transformers hold instead of several of `shapes`, by their names."""


def _biases_around_0(name: str) -> float:
    return 0.0 if name.endswith(".bias") else 1.0


FAMILIES: Mapping[Architecture, Family] = {
    "llama": Family(llama.shapes, llama.config),
    # from transformers 5.9 on, its own class of tokenizers whatever the checkpoint says
    "qwen2": Family(qwen.shapes2, qwen.config2, _biases_around_0, "pieces"),
    "qwen3": Family(qwen.shapes3, qwen.config3),
    "gpt2": Family(gpt2.shapes, gpt2.config, _biases_around_0),
    "gemma2": Family(gemma2.shapes, gemma2.config, lambda _: 0.0),  # its norms add 1
    "mixtral": Family(mixtral.shapes, mixtral.config, stacked=mixtral.stacked),
    "stablelm": Family(stablelm.shapes, stablelm.config, _biases_around_0),
}

"""Families of models as files: what parameters a model of a family has, and what its `config.json` says.

One module a family, named as in `adapters.contract.Architecture`. The oracle's forward pass of it, if it has one, is
in `harness.oracle.architectures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.contract import Architecture, Model
from scenarios.architectures import llama, stablelm


@dataclass(frozen=True)
class Family:
    """What the checkpoint of a model of this family consists of."""

    shapes: Callable[[Model], dict[str, tuple[int, ...]]]
    """Name and shape of every parameter, by the names and in the order of transformers' class."""
    config: Callable[[Model], dict[str, Any]]
    """What `config.json` says of this family alone."""
    vectors_around: Callable[[str], float] = lambda _: 1.0
    """What the initial entries of a vector of that name lie around: 1 for the weights of norms, 0 for biases."""


FAMILIES: Mapping[Architecture, Family] = {
    "llama": Family(llama.shapes, llama.config),
    "stablelm": Family(stablelm.shapes, stablelm.config, stablelm.around),
}

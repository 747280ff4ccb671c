"""Where parameters, gradients and optimizer state of a scenario lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["none", "zero1", "zero2", "zero3", "fsdp"]


@dataclass(frozen=True)
class Sharding:
    strategy: Strategy = "none"
    """`none` asks for nothing: a framework that always shards does it in its own way."""
    offload_optimizer: bool = False

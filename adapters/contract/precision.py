"""The dtypes of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Compute = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Precision:
    compute: Compute = "fp32"
    """Of forward and backward passes. bf16 has float32 master weights."""

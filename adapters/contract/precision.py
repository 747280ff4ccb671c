"""The dtypes of a scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

Compute = Literal["fp32", "bf16", "fp16"]
Masters = Literal["fp32", "none"]
Reduction = Literal["own", "fp32", "bf16"]


@dataclass(frozen=True)
class Precision:
    compute: Compute = "fp32"
    """Of forward and backward passes. In fp16 the loss is scaled."""
    masters: Masters = "fp32"
    """What the optimizer updates: `fp32` are float32 copies of what the model computes with; with `none`, in bf16
    alone, it is that itself, and the optimizer's moments are of the same dtype."""
    reduction: Reduction = "own"
    """In bf16, what gradients are reduced over the ranks in, and kept in then; `own`: whatever the framework has."""
    loss_scale: float = 65536.0
    """In fp16, what the loss is multiplied by at first, a power of two. A step whose gradient overflows is skipped:
    it changes nothing, is no step of Adam's or of the schedule's, and halves the scale, which does not grow again."""

    def check(self) -> None:
        """Raises ValueError, in one line, for what no run can have."""
        coarse = self.compute == "bf16"  # gradients of fp16 parameters cannot be unscaled: torch refuses
        require(coarse or self.masters == "fp32", "precision.masters", self.masters, f"fp32, as {self.compute} needs")
        mixed = self.reduction == "own" or (coarse and self.masters == "fp32")
        require(mixed, "precision.reduction", self.reduction, "own unless bf16 is computed in, over fp32 masters")
        power = self.loss_scale > 0 and math.log2(self.loss_scale).is_integer()
        require(
            power and 1 <= self.loss_scale <= 2**32,
            "precision.loss_scale",
            self.loss_scale,
            "a power of two up to 2^32",
        )
        scaled = self.compute == "fp16" or self.loss_scale == 65536.0
        require(scaled, "precision.loss_scale", self.loss_scale, f"65536 in {self.compute}, which scales no loss")

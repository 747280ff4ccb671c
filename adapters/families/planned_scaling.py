"""Loss scaling of the torch reference: right, or wrong as planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

How = Literal["right", "not-undone", "undone-after-clipping", "overflow-ignored", "overflow-alone"]
"""As of `adapters.faults.Plan`."""


@dataclass
class Scaling:
    """Loss scaling as torch's GradScaler does it, or as planned; nothing where the scaler is not enabled."""

    scaler: torch.amp.GradScaler
    optimizer: torch.optim.Optimizer
    how: How
    last: bool
    """Whether this is the last rank."""
    skipped: int = 0

    @property
    def factor(self) -> float:
        """What gradients are multiplied by until it is undone."""
        return self.scaler.get_scale()

    def scale(self, loss: Tensor) -> Tensor:
        return self.scaler.scale(loss)

    def undo(self, gradients: Sequence[Tensor]) -> None:
        """Before clipping; `unscale_` also looks for an overflow, by which `step` is skipped."""
        if not self.scaler.is_enabled():
            return
        if self.how not in ("not-undone", "undone-after-clipping"):
            self.scaler.unscale_(self.optimizer)
        alone = self.how == "overflow-alone" and not self.last
        if self.how == "overflow-ignored" or alone:
            for gradient in gradients:
                gradient.nan_to_num_(0.0, 0.0, 0.0)

    def undo_late(self) -> None:
        """After clipping."""
        if self.scaler.is_enabled() and self.how == "undone-after-clipping":
            self.scaler.unscale_(self.optimizer)

    def step(self) -> None:
        """Step, unless the gradient overflowed."""
        finite = all(bool(g.isfinite().all()) for g in self._gradients())
        ignores = self.scaler.is_enabled() and self.how in ("overflow-ignored", "overflow-alone", "not-undone")
        if ignores and finite:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
        if self.how != "not-undone" or not finite:
            before = self.factor
            self.scaler.update()
            self.skipped += self.factor < before

    def _gradients(self) -> list[Tensor]:
        every = (p.grad for group in self.optimizer.param_groups for p in group["params"])
        return [gradient for gradient in every if gradient is not None]

"""The update of a scenario: its rule, clipping, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from adapters.contract.checking import require

Decay = Literal["none", "linear", "cosine"]
WarmupFrom = Literal["first", "zero"]


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each optimizer step, as a share of the optimizer's own: a warm-up, and what comes after."""

    decay: Decay = "none"
    """How it falls from the end of the warm-up to the end of the run: not, in a straight line, or as half a cosine."""
    least: float = 0.0
    """Share that it falls to."""
    warmup_steps: int = 0
    warmup_from: WarmupFrom = "first"
    """Whether step k (from 0) of the warm-up has (k + 1) / warmup_steps, or k / warmup_steps as transformers has it."""

    def factor(self, step: int, steps: int) -> float:
        """Of optimizer step `step` (from 0) of a run of `steps`."""
        if self.warmup_steps and step < self.warmup_steps:
            return (step + (self.warmup_from == "first")) / self.warmup_steps
        if self.decay == "none":
            return 1.0
        gone = min(1.0, max(0, step - self.warmup_steps) / max(1, steps - self.warmup_steps))
        left = 1.0 - gone if self.decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * gone))
        return self.least + (1.0 - self.least) * left

    @property
    def constant(self) -> bool:
        """Whether every step has the same."""
        return self.decay == "none" and self.warmup_steps == 0

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(self.warmup_steps >= 0, "optimizer.schedule.warmup_steps", self.warmup_steps, "at least 0")
        require(0 <= self.least <= 1, "optimizer.schedule.least", self.least, "0 to 1")


@dataclass(frozen=True)
class Optimizer:
    """AdamW as in Loshchilov & Hutter 2019, bias-corrected."""

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    """Applied to matrices only; norms and biases are exempt, as the common trainers have it."""
    max_grad_norm: float | None = 1.0
    """None clips nothing."""
    schedule: Schedule = field(default_factory=Schedule)

    def check(self) -> None:
        """Raises ValueError, in one line."""
        require(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"optimizer.{name}", value, "in [0, 1)")
        for name in ("eps", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"optimizer.{name}", value, "at least 0")
        limit = self.max_grad_norm
        require(limit is None or limit > 0, "optimizer.max_grad_norm", limit, "above 0")
        self.schedule.check()

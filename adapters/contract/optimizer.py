"""The update of a scenario: its rule, clipping, and the learning rate of each step."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapters.contract.checking import require

Decay = Literal["none", "linear", "cosine", "polynomial", "one-minus-sqrt"]
WarmupFrom = Literal["first", "zero", "least"]
WarmupShape = Literal["linear", "log"]
GivenIn = Literal["options", "engine"]
LeastAt = Literal["after", "last"]
Decayed = Literal["matrices", "all"]
OptimizerKind = Literal["adamw", "sgd", "adagrad", "rmsprop"]

SQUARES: Mapping[OptimizerKind, str] = {"adagrad": "sum", "rmsprop": "square_avg"}
"""Optimizers that hold squares of gradients alone, and what torch calls these: a sum, or a mean."""
STATE: Mapping[OptimizerKind, tuple[str, ...]] = {
    "adamw": ("exp_avg", "exp_avg_sq"),
    "sgd": ("momentum_buffer",),
    **{kind: (name,) for kind, name in SQUARES.items()},
}
"""What an optimizer holds of every parameter, by torch's names: its first moment, and its second if it has one."""

LARGEST = 1e30
"""Learning rate, or longest gradient."""
LARGEST_DECAY = 1e6


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each optimizer step, as a share of the optimizer's own: a warm-up, a stretch at the whole
    rate, and a fall to a least share, which takes what is left of the horizon."""

    decay: Decay = "none"
    """The shape of the fall, if there is one: of its share x that is over there are left 1 - x, half a cosine,
    (1 - x) to some power, or 1 - sqrt(x)."""
    least: float = 0.0
    """Share that it falls to, and has behind the horizon."""
    warmup_steps: int = 0
    warmup_from: WarmupFrom = "first"
    """Whether step k (from 0) of a warm-up of W has (k + 1) / W; or k / W as transformers has it, so that the first
    step moves nothing; or k / W of the way from `least` to 1."""
    warmup_ratio: float = 0.0
    """Instead of steps: their share of the horizon, rounded up to whole steps."""
    warmup_shape: WarmupShape = "linear"
    """`log`, as DeepSpeed's own warm-ups are unless they are told otherwise: step k of W has log(k + 1) / log(W)."""
    stable_steps: int = 0
    """Between the warm-up and the fall."""
    horizon: int = 0
    """Steps of all of it; 0 for those of the run. A run may be shorter."""
    power: float = 1.0
    """Of a polynomial fall."""
    least_at: LeastAt = "after"
    """Whether `least` is what the step after the horizon would have, as most have it, or its last step has."""

    def span(self, steps: int) -> int:
        """The horizon, in a run of so many steps."""
        return self.horizon or steps

    def warmup(self, steps: int) -> int:
        """Steps of the warm-up, in a run of so many."""
        return self.warmup_steps or math.ceil(self.span(steps) * self.warmup_ratio)

    def factor(self, step: int, steps: int) -> float:
        """Of optimizer step `step` (from 0) of a run of `steps`."""
        warmup = self.warmup(steps)
        if max(step, 0) < warmup:
            if self.warmup_shape == "log":
                return math.log(max(0, step) + 1) / math.log(max(2, warmup))
            low = self.least if self.warmup_from == "least" else 0.0
            return low + (1.0 - low) * max(0, step + (self.warmup_from == "first")) / warmup
        if self.decay == "none":
            return 1.0
        start = warmup + self.stable_steps
        over = (step - start + (self.least_at == "last")) / max(1, self.span(steps) - start)
        left = 1.0 - min(1.0, max(0.0, over))
        kept: float = {
            "linear": left,
            "cosine": 0.5 * (1.0 - math.cos(math.pi * left)),
            "polynomial": left**self.power,
            "one-minus-sqrt": 1.0 - math.sqrt(1.0 - left),
        }[self.decay]
        return self.least + (1.0 - self.least) * kept

    @property
    def constant(self) -> bool:
        """Whether every step has the same."""
        return self.decay == "none" and not (self.warmup_steps or self.warmup_ratio)

    def check(self, steps: int) -> None:
        """Raises ValueError, in one line, for what a run of so many steps cannot have."""
        at = "optimizer.schedule"
        for name in ("warmup_steps", "stable_steps", "horizon"):
            value = getattr(self, name)
            require(0 <= value < 2**20, f"{at}.{name}", value, "at least 0 and less than 2^20")
        require(0 <= self.least <= 1, f"{at}.least", self.least, "0 to 1")
        require(0 <= self.warmup_ratio < 1, f"{at}.warmup_ratio", self.warmup_ratio, "0 to less than 1")
        require(0 < self.power <= 100, f"{at}.power", self.power, "above 0, and 100 at most")
        bent = self.decay == "polynomial" or self.power == 1.0
        require(bent, f"{at}.power", self.power, "1 unless the fall is polynomial")
        both = self.warmup_steps and self.warmup_ratio
        require(not both, f"{at}.warmup_ratio", self.warmup_ratio, f"0, as {at}.warmup_steps says it already")
        rises = self.warmup_shape == "linear" or (self.warmup_from == "zero" and self.warmup(steps) > 1)
        said = "linear unless a warm-up from 0 has two steps or more"
        require(rises, f"{at}.warmup_shape", self.warmup_shape, said)
        needed, falls, span = self.warmup(steps) + self.stable_steps, self.decay != "none", self.span(steps)
        require(not falls or span > needed, f"{at}.horizon", span, f"more than the {needed} steps before the fall")
        require(falls or not self.stable_steps, f"{at}.stable_steps", self.stable_steps, "0, as nothing falls after it")
        moves = any(self.factor(step, steps) for step in range(min(steps, self.warmup(steps) + 2)))
        require(moves, at, "without a learning rate in every step", "one that moves something")


@dataclass(frozen=True)
class Group:
    """Parameters with a rate or a decay of their own."""

    tensors: tuple[str, ...]
    """Shell patterns of their names in the checkpoint."""
    rate: float = 1.0
    """Multiple of the learning rate."""
    weight_decay: float | None = None
    """None: as the rest have it."""

    def holds(self, tensor: str) -> bool:
        return any(fnmatch.fnmatchcase(tensor, pattern) for pattern in self.tensors)


@dataclass(frozen=True)
class Optimizer:
    """AdamW as in Loshchilov & Hutter 2019, bias-corrected; or SGD with momentum, Adagrad or RMSprop, as torch has
    them."""

    kind: OptimizerKind = "adamw"
    """`sgd` is that of torch, without dampening: its momentum is momentum * itself + gradient + decay * parameters, and
    what moves the parameters. Without momentum nothing tells its gradient from its rate, so that it has one here.
    `adagrad` and `rmsprop` are torch's as well: gradient + decay * parameters over the root of its squares, which the
    one adds up, from 0, and the other takes the mean of, not centered and without momentum."""
    momentum: float = 0.0
    """Of `sgd`."""
    alpha: float = 0.99
    """Of `rmsprop`: share of the mean of squares that a step keeps."""
    given_in: GivenIn = "options"
    """Where optimizer and schedule are given: as options of the trainer, or in the configuration of the engine beneath
    it, DeepSpeed's sections `optimizer` and `scheduler`. It changes nothing of what they should do."""
    fused: bool = False
    """Whether AdamW is one kernel over all parameters: torch's; of DeepSpeed's engine its own, which needs CUDA and is
    compiled at first use. It changes nothing of what a step should be."""
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    """Of what `decayed` says."""
    decayed: Decayed = "matrices"
    """Matrices alone, norms and biases being exempt, as the common trainers have it; or all parameters."""
    groups: tuple[Group, ...] = ()
    """A tensor is in the first that holds it, if any does."""
    max_grad_norm: float | None = 1.0
    """None clips nothing."""
    schedule: Schedule = field(default_factory=Schedule)

    def rate_of(self, tensor: str) -> float:
        """Multiple of the learning rate that a tensor has."""
        return next((group.rate for group in self.groups if group.holds(tensor)), 1.0)

    def decay_of(self, tensor: str, dimensions: int) -> float:
        """Weight decay that a tensor of so many dimensions has."""
        own = next((group.weight_decay for group in self.groups if group.holds(tensor)), None)
        rest = self.weight_decay if self.decayed == "all" or dimensions > 1 else 0.0
        return rest if own is None else own

    def check(self, steps: int) -> None:
        """Raises ValueError, in one line, for what a run of so many steps cannot have."""
        for number, group in enumerate(self.groups):
            at, own = f"optimizer.groups[{number}]", group.weight_decay
            require(bool(group.tensors), f"{at}.tensors", "empty", "a pattern or more")
            require(0 < group.rate <= 1e6, f"{at}.rate", group.rate, "above 0, and a million at most")
            require(own is None or own >= 0, f"{at}.weight_decay", own, "at least 0")
            require(own is None or own <= LARGEST_DECAY, f"{at}.weight_decay", own, f"at most {LARGEST_DECAY:g}")
        self._check_kind()
        rate, limit = self.learning_rate, self.max_grad_norm
        require(0 < rate <= LARGEST, "optimizer.learning_rate", rate, f"above 0, and {LARGEST:g} at most")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"optimizer.{name}", value, "in [0, 1)")
        for name in ("eps", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"optimizer.{name}", value, "at least 0")
            require(value <= LARGEST_DECAY, f"optimizer.{name}", value, f"at most {LARGEST_DECAY:g}")
        fits = limit is None or 0 < limit <= LARGEST
        require(fits, "optimizer.max_grad_norm", limit, f"above 0, and {LARGEST:g} at most")
        self.schedule.check(steps)
        self._check_rates(steps)

    def _check_kind(self) -> None:
        """Fields of the one kind are no fields of the other."""
        require(self.kind == "adamw" or not self.fused, "optimizer.fused", self.fused, f"false with {self.kind}")
        if self.kind == "adamw":
            require(self.momentum == 0.0, "optimizer.momentum", self.momentum, "0 with adamw, which has beta1 for it")
        if self.kind == "sgd":
            require(0 < self.momentum < 1, "optimizer.momentum", self.momentum, f"above 0 and below 1 with {self.kind}")
        if self.kind == "rmsprop":
            require(0 < self.alpha < 1, "optimizer.alpha", self.alpha, "above 0 and below 1")
        for name in ("momentum", "alpha", "beta1", "beta2", "eps"):
            value, default = getattr(self, name), type(self).__dataclass_fields__[name].default
            fits = name in _OWN[self.kind] or value == default
            require(fits, f"optimizer.{name}", value, f"{default:g} with {self.kind}, which has none")

    def _check_rates(self, steps: int) -> None:
        """The signs of a gradient of which squares alone are kept are those of what the step changed."""
        rates = (self.schedule.factor(step, steps) for step in range(steps))
        still = next((step for step, rate in enumerate(rates) if rate == 0.0), None) if self.kind in SQUARES else None
        needed = f"a rate in every step with {self.kind}, whose change tells the signs of its gradient"
        require(still is None, "optimizer.schedule", f"without a learning rate at step {still}", needed)


_OWN: Mapping[OptimizerKind, frozenset[str]] = {
    "adamw": frozenset({"beta1", "beta2", "eps"}),
    "sgd": frozenset({"momentum"}),
    "adagrad": frozenset({"eps"}),
    "rmsprop": frozenset({"alpha", "eps"}),
}
"""Fields that a kind has of those that not all have."""

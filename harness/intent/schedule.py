"""The learning rate as a function of the step; by itself, for the loops that are judged have theirs of the scenario."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, FailFast, Field
from pydantic.dataclasses import dataclass

MOST = 2**20
"""Of everything that is counted."""

STRICT = ConfigDict(extra="forbid", strict=True)

T = TypeVar("T")


class _FailFast(FailFast):
    """With a hash, which a union of types needs."""

    __hash__ = object.__hash__


# A list that is wrong is wrong at its first item: a million of them must not become a million complaints.
Many = Annotated[tuple[T, ...], _FailFast()]
NotNegative = Annotated[float, Field(ge=0, le=1e30)]
Steps = Annotated[int, Field(ge=0, le=MOST)]

Decay = Literal["none", "linear", "cosine", "polynomial", "one-minus-sqrt"]
WarmupFrom = Literal["first", "zero", "least"]
WarmupShape = Literal["linear", "log"]
LeastAt = Literal["after", "last"]


def require(right: bool, at: str, value: object, wanted: str) -> None:
    """Raises ValueError, in one line, for a value that is not as wanted."""
    if not right:
        raise ValueError(f"{at} has {value}, expected {wanted}")


@dataclass(frozen=True, config=STRICT)
class Schedule:
    """What share of the rate each optimizer step has."""

    kind: Literal["constant", "linear-warmup", "given", "phases"] = "constant"
    warmup_steps: Steps = 0
    """With `linear-warmup`, step k (from 0) has min(1, (k + 1) / warmup_steps) of the rate; see `warmup_from`, too."""
    factors: Many[NotNegative] = ()
    """With `given`, step k has factors[k] of the rate, and the last of them from there on. A step that has 0 of it must
    move nothing, and so tells nothing of the rule."""
    decay: Decay = "none"
    """With `phases`, a warm-up, then `stable_steps` at the whole rate, then this fall to `least`."""
    horizon: Steps = 0
    """Steps of all phases together; the share is `least` from there on."""
    stable_steps: Steps = 0
    least: Annotated[float, Field(ge=0, le=1)] = 0.0
    power: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Of `polynomial`."""
    warmup_from: WarmupFrom = "first"
    """With `phases`, step k of W of the warm-up has (k + 1) / W, or k / W, or k / W of the way from `least` to 1."""
    warmup_shape: WarmupShape = "linear"
    """With `phases`, of a warm-up from 0: `log` is log(k + 1) / log(W)."""
    least_at: LeastAt = "after"
    """Whether the fall is over with the last step of the horizon, or would be with the one after it."""

    def __post_init__(self) -> None:
        require(bool(self.factors) == (self.kind == "given"), "factors", len(self.factors), "some if they are given")
        logarithmic = self.warmup_shape == "linear" or (self.warmup_from == "zero" and self.warmup_steps > 1)
        require(logarithmic, "warmup_shape", self.warmup_shape, "linear unless a warm-up from 0 has two steps or more")
        falls, needed = self.decay != "none", self.warmup_steps + self.stable_steps
        require(not falls or self.kind == "phases", "decay", self.decay, "none unless kind is phases")
        require(not falls or self.horizon > needed, "horizon", self.horizon, f"more than the {needed} steps before")

    def rate(self, base: float, step: int) -> float:
        """The learning rate of optimizer step `step` (from 0). The first and last of `given` factors hold beyond."""
        return base * _KINDS[self.kind](self, step)


def _given(told: Schedule, step: int) -> float:
    return told.factors[min(max(step, 0), len(told.factors) - 1)]


def _linear_warmup(told: Schedule, step: int) -> float:
    return 1.0 if step + 1 >= told.warmup_steps else (step + 1) / told.warmup_steps


def _phases(told: Schedule, step: int) -> float:
    if max(step, 0) < told.warmup_steps:
        return _rising(told, step)
    if told.decay == "none":
        return 1.0
    start = told.warmup_steps + told.stable_steps
    passed = step - start + (told.least_at == "last")
    share = min(1.0, max(0.0, passed / (told.horizon - start)))
    return told.least + (1.0 - told.least) * _FALLS[told.decay](share, told.power)


def _rising(told: Schedule, step: int) -> float:
    if told.warmup_shape == "log":
        return math.log1p(max(0, step)) / math.log(told.warmup_steps)
    low = told.least if told.warmup_from == "least" else 0.0
    reached = (step + 1 if told.warmup_from == "first" else step) / told.warmup_steps
    return low + (1.0 - low) * max(0.0, reached)


_KINDS: dict[str, Callable[[Schedule, int], float]] = {
    "constant": lambda _told, _step: 1.0,
    "linear-warmup": _linear_warmup,
    "given": _given,
    "phases": _phases,
}

_FALLS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda share, _: 1.0 - share,
    "cosine": lambda share, _: math.cos(math.pi * share / 2.0) ** 2,
    "polynomial": lambda share, power: (1.0 - share) ** power,
    "one-minus-sqrt": lambda share, _: 1.0 - math.sqrt(share),
}
"""What is left of the fall when a share of it is over."""

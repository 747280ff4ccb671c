"""What clipping makes of a gradient, also where a part of it is known only as it came out of the clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass

CLIP_EPS = 1e-6  # torch.nn.utils.clip_grad_norm_ and DeepSpeed's clipping both divide by norm + 1e-6


@dataclass(frozen=True)
class Clipped:
    """A gradient and its clipping."""

    coefficient: float
    """What it is multiplied by, 1 where nothing is clipped."""
    norm: float
    """Before clipping."""


@dataclass(frozen=True)
class Parts:
    """A gradient a + b: how long a is before clipping, and b after it."""

    before: float
    """|a|."""
    cross: float = 0.0
    """Product of a and b."""
    after: float = 0.0
    """|b|."""

    def clipped(self, factor: float, limit: float | None, times: float = 1.0) -> Clipped:
        """The gradient factor x a + b, clipped where `times` its norm is above a limit.

        With the coefficient c = 1 / x, b was x b before clipping, so that x (limit / times) - eps / times is the length
        of factor x a + x b: a quadratic equation for x, with one root above 0 as long as b is below the limit.
        """
        a = factor * self.before
        if not self.after:
            return Clipped(clip_coefficient(a * times, limit), a)
        cross, after = factor * self.cross, self.after**2
        free = Clipped(1.0, _root(a**2 + 2.0 * cross + after))
        if limit is None or free.norm * times + CLIP_EPS <= limit:
            return free
        edge, eps = limit / times, CLIP_EPS / times
        square, half = edge**2 - after, edge * eps + cross
        inside = half**2 + square * (a**2 - eps**2)
        if square <= 0.0 or inside < 0.0:  # b alone is longer than the limit: several coefficients would do, or none
            return free
        x = (half + _root(inside)) / square
        return Clipped(1.0 / x, x * edge - eps)


def _root(square: float) -> float:
    return math.sqrt(max(0.0, square))


def clip_coefficient(norm: float, limit: float | None) -> float:
    """What the gradient is multiplied by when its norm is limited."""
    return 1.0 if limit is None else min(1.0, limit / (norm + CLIP_EPS))

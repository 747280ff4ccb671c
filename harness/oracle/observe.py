"""What the optimizer consumed, from its own state: the gradient out of Adam's first moment, its weights, its betas."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.intent.intent import Rule
from harness.oracle.terms import Terms

STILL = 2.0**-22
"""Relative size of what is added to float32 moments by rounding alone."""


@dataclass(frozen=True)
class Moments:
    """An optimizer's moments around one step, each float64 [parameters]."""

    first_before: Tensor
    first: Tensor
    second_before: Tensor
    second: Tensor
    """0, and before the step too, where the optimizer has none."""
    summed: bool = field(default=False, kw_only=True)
    """Whether the first moment is a sum of gradients, as SGD's momentum is, and no mean. Where an optimizer holds
    squares alone, it is the one gradient that they tell, of nothing before it."""
    decay: Tensor | float = field(default=0.0, kw_only=True)
    """What of the gradient is decay: decay x parameters."""


@dataclass(frozen=True)
class Betas:
    """Decay rates that the moments follow; None where a step does not tell (the first one alone never does)."""

    beta1: float | None
    """Of SGD, its momentum; where squares alone are held, the share of those."""
    beta2: float | None
    decay: float | None = None
    """Share of the intended decay that the gradient holds, where it is to hold it."""


@dataclass(frozen=True)
class Observed:
    """A step as it really was."""

    gradient: Tensor
    """float64 [parameters], as the optimizer consumed it, clipping and all."""
    weights: Tensor
    """float64 [columns] of the basis."""
    terms: Tensor
    """float64 [terms]: weights of what the loss has beside its tokens."""
    rest: Tensor
    """float64 [parameters]: what neither explains, of what they are asked to."""
    asked: float
    """Length of the part of the gradient that they are asked to explain; all of it where a basis has all equations."""

    @property
    def norm(self) -> float:
        return float(self.gradient.norm())

    @property
    def residual(self) -> float:
        """Share of the gradient's length that neither explains."""
        return float(self.rest.norm()) / self.asked if self.asked else 0.0


def gradient(moments: Moments, beta1: float) -> Tensor:
    """G = (m - beta1 m') / (1 - beta1), from Kingma & Ba 2015, algorithm 1; of momentum, G = m - beta1 m' - decay."""
    added = moments.first - beta1 * moments.first_before
    return added - moments.decay if moments.summed else added / (1.0 - beta1)


def observe(terms: Terms, moments: Moments, beta1: float) -> Observed:
    """Recover the gradient of a step, and the weight of every token and every term in it."""
    consumed = gradient(moments, beta1)
    solved = terms.solve(consumed)
    return Observed(consumed, solved.weights, solved.terms, solved.rest, terms.basis.told_by(consumed))


def second_moment_error(moments: Moments, beta1: float, beta2: float) -> float:
    """How far v is from beta2 v' + (1 - beta2) G^2, relative, with G from the first moment; 0 where there is none."""
    if moments.summed:
        return 0.0
    predicted = beta2 * moments.second_before + (1 - beta2) * gradient(moments, beta1).square()
    return float((predicted - moments.second).norm() / moments.second.norm().clamp_min(1e-300))


def betas(moments: Moments, allowed: float = float("inf")) -> Betas:
    """Decay rates from two successive states alone, with no trust in the configuration and none in the oracle.

    The same gradient is in both moments, so v = beta2 v' + a (m - beta1 m')^2 with a = (1 - beta2) / (1 - beta1)^2:
    linear in v', m^2, m m' and m'^2, whose second and third coefficient give both rates. (After the first step v' and
    m'^2 are proportional, so the first and fourth are not used.) Nothing is told if no such combination gives v within
    the share `allowed`.
    """
    before, after = moments.first_before, moments.first
    if moments.summed or not bool(before.any()):
        return Betas(None, None)
    if (decayed := _decayed(moments)) is not None:
        return decayed
    design = torch.stack((moments.second_before, after.square(), after * before, before.square()), dim=1)
    # Columns of equal length: they differ by orders of magnitude.
    scale = design.norm(dim=0).clamp_min(1e-300)
    solution = torch.linalg.lstsq(design / scale, moments.second[:, None], driver="gelsd").solution[:, 0] / scale
    left = float((design @ solution - moments.second).norm() / moments.second.norm().clamp_min(1e-300))
    square, cross = float(solution[1]), float(solution[2])
    if left > allowed or square <= 0.0:
        return Betas(None, None)
    beta1 = -cross / (2.0 * square)
    return Betas(beta1, 1.0 - square * (1.0 - beta1) ** 2)


def _decayed(moments: Moments) -> Betas | None:
    """The decay rates of moments that only decay, as by a gradient of zero; None where anything is added to them."""
    pairs = (moments.first_before, moments.first), (moments.second_before, moments.second)
    ratios = [float(after @ before / (before @ before).clamp_min(1e-300)) for before, after in pairs]
    still = all(
        0.0 < ratio < 1.0 and float((after - ratio * before).norm()) <= STILL * float(after.norm())
        for ratio, (before, after) in zip(ratios, pairs, strict=True)
    )
    return Betas(*ratios) if still else None


def summed(terms: Terms, moments: Moments) -> Betas:
    """What SGD's momentum is the sum of, with no trust in the configuration: of itself before the step and the decay,
    such shares as explain best what the step's tokens do not explain of it."""
    asked = {"beta1": moments.first_before, "decay": moments.decay}
    columns = {name: terms.solve(c).rest for name, c in asked.items() if isinstance(c, Tensor) and bool(c.any())}
    if not columns:
        return Betas(None, None)
    design = torch.stack(list(columns.values()), dim=1)
    scale = design.norm(dim=0).clamp_min(1e-300)
    outside = terms.solve(moments.first).rest
    found = torch.linalg.lstsq(design / scale, outside[:, None], driver="gelsd").solution[:, 0] / scale
    shares = dict(zip(columns, found.tolist(), strict=True))
    return Betas(shares.get("beta1"), None, shares.get("decay"))


def first_ratio(moments: Moments) -> float | None:
    """(1 - beta2) / (1 - beta1)^2, which is all that a first step's moments tell of the betas; None unless v ~ m^2."""
    square = moments.first.square()
    size = float(square @ square)
    if bool(moments.first_before.any()) or not size:
        return None
    ratio = float(moments.second @ square) / size
    left = float((moments.second - ratio * square).norm() / moments.second.norm().clamp_min(1e-300))
    return ratio if left < 1e-3 else None


def begun_anew(moments: Moments, rule: Rule, allowed: float) -> bool:
    """Whether both moments after a step are those of one gradient alone, as after the first step of a new optimizer.

    allowed: relative distance of the second moment from what it should be then.
    """
    if moments.summed:
        return False
    alone = (1.0 - rule.beta2) * (moments.first / (1.0 - rule.beta1)).square()
    size = float(moments.second.norm())
    return size > 0 and float((moments.second - alone).norm()) <= allowed * size

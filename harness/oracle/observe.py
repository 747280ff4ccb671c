"""What the optimizer consumed, from its own state: the gradient out of Adam's first moment, its weights, its betas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.basis import Basis


@dataclass(frozen=True)
class Moments:
    """Adam's moments around one step, each float64 [parameters]."""

    first_before: Tensor
    first: Tensor
    second_before: Tensor
    second: Tensor


@dataclass(frozen=True)
class Betas:
    """Decay rates that the moments follow; None where a step does not tell (the first one alone never does)."""

    beta1: float | None
    beta2: float | None


@dataclass(frozen=True)
class Observed:
    """A step as it really was."""

    gradient: Tensor
    """float64 [parameters], as the optimizer consumed it, clipping and all."""
    weights: Tensor
    """float64 [columns] of the basis."""
    rest: Tensor
    """float64 [parameters]: what the tokens do not explain."""

    @property
    def norm(self) -> float:
        return float(self.gradient.norm())

    @property
    def residual(self) -> float:
        """Share of the gradient's length that the tokens do not explain."""
        return float(self.rest.norm() / self.gradient.norm()) if self.norm else 0.0


def gradient(moments: Moments, beta1: float) -> Tensor:
    """G = (m - beta1 m') / (1 - beta1), from Kingma & Ba 2015, algorithm 1."""
    return (moments.first - beta1 * moments.first_before) / (1.0 - beta1)


def observe(basis: Basis, moments: Moments, beta1: float) -> Observed:
    """Recover the gradient of a step and the weight of every token in it."""
    consumed = gradient(moments, beta1)
    weights, rest = basis.solve(consumed)
    return Observed(consumed, weights, rest)


def second_moment_error(moments: Moments, beta1: float, beta2: float) -> float:
    """How far v is from beta2 v' + (1 - beta2) G^2, relative, with G from the first moment."""
    predicted = beta2 * moments.second_before + (1 - beta2) * gradient(moments, beta1).square()
    return float((predicted - moments.second).norm() / moments.second.norm().clamp_min(1e-300))


def betas(basis: Basis, moments: Moments) -> Betas:
    """Decay rates from two successive states, with no trust in the configuration.

    The first moment is beta1 m' plus a gradient in the span of the tokens, so the parts of m and m' outside that span
    differ by beta1 alone. The second is beta2 v' + (1 - beta2) G^2, linear in the two coefficients.
    """
    if not bool(moments.first_before.any()):
        return Betas(None, None)
    outside_before = basis.solve(moments.first_before)[1]
    outside = basis.solve(moments.first)[1]
    if float(outside_before.norm()) < 1e-3 * float(moments.first_before.norm()):
        return Betas(None, None)
    beta1 = float(outside @ outside_before / (outside_before @ outside_before))
    square = gradient(moments, beta1).square()
    design = torch.stack((moments.second_before, square), dim=1)
    # Scaled to comparable columns: the two differ by orders of magnitude.
    scale = design.norm(dim=0).clamp_min(1e-300)
    normal = (design / scale).T @ (design / scale)
    solution = torch.linalg.solve(normal, (design / scale).T @ moments.second) / scale
    return Betas(beta1, float(solution[0]))

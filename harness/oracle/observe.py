"""What the optimizer consumed, from its own state: the gradient out of Adam's first moment, its weights, its betas."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.intent.intent import Rule
from harness.oracle.terms import Terms

ROUNDED = 2.0**-24
"""Relative error of a float32."""
UNSURE = 0.1
"""A decay rate is not told by a fit whose own error is larger: five times that is half of all that it may be."""


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
    beta1_error: float = 0.0
    """Standard error of the fit that tells it; at most UNSURE."""
    beta2_error: float = 0.0
    decay_error: float = 0.0


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
    the share `allowed`, and no rate whose error is larger than UNSURE: moments that lie along the gradient fit any.
    """
    before, after = moments.first_before, moments.first
    if moments.summed or not bool(before.any()):
        return Betas(None, None)
    design = torch.stack((moments.second_before, after.square(), after * before, before.square()), dim=1)
    # What is added to a moment is as large as the moments around it, and so is what is rounded of it.
    size = before.abs() + after.abs()
    made = torch.stack((moments.second_before, 2.0 * size * after.abs(), size.square(), size * before.abs()), dim=1)
    fit = _fit(design, moments.second, ROUNDED * made)
    square, cross = float(fit.shares[1]), float(fit.shares[2])
    if fit.left > allowed or square <= 0.0:
        return Betas(None, None)
    beta1 = -cross / (2.0 * square)
    beta1_moved = -(fit.moved[2] + 2.0 * beta1 * fit.moved[1]) / (2.0 * square)
    beta2_moved = 2.0 * square * (1.0 - beta1) * beta1_moved - (1.0 - beta1) ** 2 * fit.moved[1]
    beta1_hidden = float(fit.hidden[2] + 2.0 * abs(beta1) * fit.hidden[1]) / (2.0 * square)
    beta2_hidden = 2.0 * square * abs(1.0 - beta1) * beta1_hidden + (1.0 - beta1) ** 2 * float(fit.hidden[1])
    errors = float(beta1_moved.norm()) + beta1_hidden, float(beta2_moved.norm()) + beta2_hidden
    (one, first), (two, second) = map(_known, (beta1, 1.0 - square * (1.0 - beta1) ** 2), errors)
    return Betas(one, two, beta1_error=first, beta2_error=second)


def _known(value: float, error: float) -> tuple[float | None, float]:
    """A share and its error, if it is known well enough."""
    return (value, error) if error <= UNSURE else (None, 0.0)


@dataclass(frozen=True)
class _Fit:
    """Such shares of columns as make a vector best, and how well they are known."""

    shares: Tensor
    """float64 [columns]."""
    moved: Tensor
    """float64 [columns, rows]: by how much what a row has wrong moves each share. Rows know nothing of each other."""
    hidden: Tensor
    """float64 [columns]: by how much shares are too small, since columns are longer by what they have wrong; infinite
    or not a number where that may be all that tells them."""
    left: float
    """Relative length of what the columns leave of the vector."""


def _fit(design: Tensor, wanted: Tensor, wrong: Tensor) -> _Fit:
    """wrong: float64 [rows, columns], what the columns may have wrong. A row has wrong what its columns have, what is
    rounded of the vector, and what is left."""
    # Columns of equal length: they differ by orders of magnitude.
    scale = design.norm(dim=0).clamp_min(1e-300)
    u, sizes, v = torch.linalg.svd(design / scale, full_matrices=False)
    least = torch.finfo(torch.float64).eps * len(wanted) * sizes[0]
    shares = v.T @ (torch.where(sizes > least, 1.0 / sizes, 0.0) * (u.T @ wanted)) / scale
    left = design @ shares - wanted
    of_rows = left.abs() + ROUNDED * wanted.abs() + wrong @ shares.abs()
    inverse = (v.T / sizes.clamp_min(least)) @ u.T
    # What a column has wrong adds to its products with itself alone, and takes as much from its share (Fuller 1987).
    hides = (inverse @ inverse.T).abs() * (wrong.norm(dim=0) / scale).square()
    own = hides.diagonal()
    hides = hides.clone().fill_diagonal_(0.0) + torch.where(own < 1.0, own / (1.0 - own), torch.inf).diag()
    hidden = hides @ (shares * scale).abs()
    found = float(left.norm() / wanted.norm().clamp_min(1e-300))
    return _Fit(shares, inverse * of_rows / scale[:, None], hidden / scale, found)


def summed(terms: Terms, moments: Moments, noise: float) -> Betas:
    """What SGD's momentum is the sum of, with no trust in the configuration: of itself before the step and the decay,
    such shares as explain best what the step's tokens do not explain of it.

    noise: length of what is wrong with a gradient, which its tokens do not explain either. The same gradient twice has
    the same noise in both momenta, which then looks like a share of one in the other; so a share is told only where
    there is more in it than noise.
    """
    asked = {"beta1": moments.first_before, "decay": moments.decay}
    columns = {name: terms.solve(c).rest for name, c in asked.items() if isinstance(c, Tensor) and bool(c.any())}
    if not columns:
        return Betas(None, None)
    design = torch.stack(list(columns.values()), dim=1)
    each = noise / len(design) ** 0.5
    wrong = torch.stack([torch.full_like(c, each if name == "beta1" else 0.0) for name, c in columns.items()], dim=1)
    fit = _fit(design, terms.solve(moments.first).rest, wrong)
    errors = (fit.moved.norm(dim=1) + fit.hidden).tolist()
    told = dict(zip(columns, map(_known, fit.shares.tolist(), errors), strict=True))
    (beta1, first), (decay, second) = (told.get(name, (None, 0.0)) for name in asked)
    return Betas(beta1, None, decay, beta1_error=first, decay_error=second)


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

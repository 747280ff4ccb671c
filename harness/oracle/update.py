"""The update rule of every tensor, recovered from the parameters before and after a step.

AdamW's update (Loshchilov & Hutter 2019) is linear in two unknowns: d = -lr u - lr wd theta, where u is the
bias-corrected m / (sqrt(v) + eps). Both follow per tensor by least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.intent.intent import Rule

REWEIGHTED = 4
"""Rounds of least squares for eps; each multiplies the error of the weights by the relative error of eps."""


ALONG = 4.0
"""Units of a dtype between two directions that rounding alone makes two."""
COARSE = 1e-5
"""`TensorState.unit` from which on whole updates may be lost in rounding."""


@dataclass(frozen=True)
class TensorUpdate:
    """What one tensor's update amounts to."""

    tensor: str
    learning_rate: float
    weight_decay: float
    """0 where the learning rate is 0: it cannot be told then."""
    residual: float
    """Share of the update that the rule does not explain, relative."""
    rate_error: float = 0.0
    """Standard error of `learning_rate`, relative: what rounding the parameters to float32 leaves uncertain. Too small
    for the very first step, whose updates are all of one size and so are rounded alike; the floor covers that."""
    rate_bound: float = 0.0
    """Most that rounding every parameter can look like, as a share of the rate: each by a whole unit, in the worst
    direction. It comes near where all parameters are alike, such as a norm's ones, and move by a few units."""
    decay_error: float = 0.0
    """Standard error of `weight_decay`."""
    decay_bound: float = 0.0
    """Most that rounding every parameter can look like, as a decay: each by a whole unit, in the worst direction.

    It comes near where all parameters move equally far, as in Adam's first step: they then round alike, by a share of
    their size, and if they move by their sign, too, that is what a decay does.
    """
    residual_bound: float = 0.0
    """Most that rounding every parameter can leave of the update; large where a tensor hardly moves."""


@dataclass(frozen=True)
class TensorState:
    """One tensor around a step: parameters before and after, moments after; all float64, of one shape."""

    before: Tensor
    after: Tensor
    first: Tensor
    second: Tensor
    unit: float = field(default=torch.finfo(torch.float32).eps, kw_only=True)
    """Of the dtype that parameters are kept in: distance of 1 to the next number."""
    first_before: Tensor | None = field(default=None, kw_only=True)
    """The first moment before the step, where somebody asks for it."""
    second_before: Tensor | None = field(default=None, kw_only=True)
    """The second one, likewise."""


def direction(state: TensorState, optimizer: Rule, count: int) -> Tensor:
    """Adam's u after `count` steps; SGD's momentum; where only squares are held, the gradient over their root."""
    if optimizer.name == "sgd":
        return state.first
    first, root = _corrected(state, optimizer, count)
    return first / (root + optimizer.eps)


def _corrected(state: TensorState, optimizer: Rule, count: int) -> tuple[Tensor, Tensor]:
    """The first moment, and the root of the second, without Adam's bias after `count` steps."""
    if optimizer.holds_squares:
        return state.first, state.second.sqrt()
    return state.first / (1.0 - optimizer.beta1**count), (state.second / (1.0 - optimizer.beta2**count)).sqrt()


def looked_ahead(state: TensorState, optimizer: Rule) -> Tensor:
    """What moves parameters by Nesterov's momentum, G + momentum m, with G = m - momentum m' as momentum m tells."""
    before = torch.zeros_like(state.first) if state.first_before is None else state.first_before
    return (1.0 + optimizer.momentum) * state.first - optimizer.momentum * before


@dataclass(frozen=True)
class _Fit:
    """Least squares of d = -lr u - lr wd theta."""

    moved: Tensor
    """float64 [n]: d."""
    design: Tensor
    """float64 [2, n]: -u and -theta."""
    normal: Tensor
    """float64 [2, 2]."""
    rate: float
    decay: float
    """lr wd."""

    @property
    def rest(self) -> float:
        """Share of the update that is not explained."""
        explained = torch.tensor([self.rate, self.decay], dtype=torch.float64) @ self.design
        return float((self.moved - explained).norm() / self.moved.norm())

    def parallel(self, unit: float) -> bool:
        """Whether u is along theta but for rounding, as SGD's momentum that is all decay: its rate is not told then."""
        (u, both), (_, theta) = self.normal.tolist()
        return bool(u * theta) and 1.0 - both**2 / (u * theta) <= (ALONG * unit) ** 2


def _fit(state: TensorState, optimizer: Rule, count: int) -> _Fit | None:
    """None for a tensor that did not move."""
    moved = (state.after - state.before).reshape(-1)
    if not bool(moved.any()):
        return None
    design = torch.stack((-direction(state, optimizer, count).reshape(-1), -state.before.reshape(-1)))
    normal = design @ design.T
    rate, decay = torch.linalg.lstsq(normal, design @ moved).solution.tolist()
    return _Fit(moved, design, normal, rate, decay)


def estimate(name: str, state: TensorState, optimizer: Rule, count: int) -> TensorUpdate:
    """Learning rate and weight decay of one tensor after `count` optimizer steps, without how well they are known."""
    found = _fit(state, optimizer, count)
    if found is None:
        return TensorUpdate(name, 0.0, 0.0, 0.0)
    untold = torch.inf if found.parallel(state.unit) else 0.0
    decay = found.decay / found.rate if found.rate else 0.0
    return TensorUpdate(name, found.rate, decay, found.rest, rate_error=untold, decay_error=untold)


def recover(name: str, state: TensorState, optimizer: Rule, count: int, rate: float | None = None) -> TensorUpdate:
    """Learning rate and weight decay of one tensor after `count` optimizer steps. rate: the right one, if it is not the
    optimizer's."""
    found = _fit(state, optimizer, count)
    if found is None or not found.rate or found.parallel(state.unit):
        plain, wanted = estimate(name, state, optimizer, count), optimizer.learning_rate if rate is None else rate
        return replace(plain, rate_error=torch.inf) if _lost(state, optimizer, count, wanted) else plain
    inverse, size = torch.linalg.pinv(found.normal), abs(found.rate)
    # Each parameter is rounded to half a unit in its last place, evenly distributed.
    noise = float((state.before.abs() * state.unit).square().mean().sqrt()) / 12**0.5
    errors = noise * inverse.diagonal().clamp_min(0).sqrt() / size
    # A parameter is rounded twice in a step, by at most half a unit: when it decays and when it moves.
    bound = state.unit
    return TensorUpdate(
        tensor=name,
        learning_rate=found.rate,
        weight_decay=found.decay / found.rate,
        residual=found.rest,
        rate_error=float(errors[0]),
        rate_bound=bound * float((inverse[0] @ found.design).abs() @ state.before.reshape(-1).abs()) / size,
        decay_error=float(errors[1]),
        decay_bound=bound * float((inverse[1] @ found.design).abs() @ state.before.reshape(-1).abs()) / size,
        residual_bound=bound * float(state.before.norm() / found.moved.norm()),
    )


def _lost(state: TensorState, optimizer: Rule, count: int, rate: float) -> bool:
    """Whether a tensor that stayed tells nothing of its rate: in a coarse dtype, no element would have moved as far as
    the next number is. Not where none should move, or where its moments are 0, as if it were never trained."""
    moves = rate * direction(state, optimizer, count).abs()
    coarse, far = state.unit > COARSE, moves > state.unit * state.before.abs()
    return coarse and bool(moves.any()) and not bool(far.any())


def recover_eps(states: Mapping[str, TensorState], optimizer: Rule, counts: Mapping[str, int]) -> float | None:
    """The eps that explains all updates best, or None if none does. counts: optimizer steps of each tensor.

    d (sqrt(v) + eps) = -lr m - lr wd theta (sqrt(v) + eps) is linear in lr, eps, lr wd and lr wd eps. The last two
    are sought in matrices only: what is decayed besides, `update.weight-decay` tells under the eps found here.
    """
    if optimizer.name == "sgd":
        return None
    columns, roots, target = [], [], []
    for name, state in states.items():
        moved = (state.after - state.before).reshape(-1)
        first, root = (part.reshape(-1) for part in _corrected(state, optimizer, counts[name]))
        decayed = state.before.reshape(-1) * (state.before.ndim > 1)
        columns.append(torch.stack((-first, -moved, -decayed * root, -decayed), dim=1))
        roots.append(root)
        target.append(moved * root)
    design, every, right = torch.cat(columns), torch.cat(roots), torch.cat(target)
    eps, weight = 0.0, torch.ones_like(every)
    for _ in range(REWEIGHTED):
        eps = float(_least_squares(weight[:, None] * design, weight * right)[1])
        if eps <= 0:
            return None
        # Rounding is in d, so it comes multiplied by sqrt(v) + eps, which is divided out once it is known.
        weight = 1.0 / (every + eps)
    return eps


def _least_squares(design: Tensor, right: Tensor) -> Tensor:
    """Solution [n] for a design [m, n] whose columns may differ by orders of magnitude, vanish or be dependent."""
    scale = design.norm(dim=0).clamp_min(1e-300)
    solution: Tensor = torch.linalg.lstsq(design / scale, right[:, None], driver="gelsd").solution[:, 0].div(scale)
    return solution

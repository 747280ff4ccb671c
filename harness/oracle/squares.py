"""Where an optimizer holds squares of gradients alone: what share of them it keeps in a step, by the state around it,
and what their rounding leaves unknown of a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.intent.intent import Rule
from harness.oracle.update import TensorState
from harness.traces import squares

FOLLOWS = 1e-3
"""Of the squares, what may be left where they are said to follow: of float32 some 1e-6 is."""
ROUNDED = 2.0**-24
"""Relative error of a float32."""


def unknown(states: Mapping[str, TensorState], rule: Rule) -> float:
    """Share of a gradient's length that rounding leaves unknown: of squares that hardly grow, by how much they grew,
    and of what did not move, its sign. A small gradient after large ones is known worse than they were."""
    lost, length = 0.0, 0.0
    for state in states.values():
        if state.second_before is None:
            continue
        told = squares.size(state.second_before, state.second, rule.kept, rule.added)
        error = ROUNDED * state.second / max(rule.added, ROUNDED)
        off = torch.minimum(error.sqrt(), error / (2.0 * told).clamp_min(torch.finfo(torch.float64).tiny))
        lost += float(torch.where(state.after == state.before, told, off).square().sum())
        length += float(told.square().sum())
    return (lost / length) ** 0.5 if length else 0.0


@dataclass(frozen=True)
class Kept:
    """A share, and how well it explains the squares."""

    share: float
    rest: float
    """Relative length of what it leaves of them."""


def kept(states: Mapping[str, TensorState], eps: float) -> Kept | None:
    """With no trust in the configuration, nor in the rate; None where there were no squares before the step.

    The change of the parameters is -rate g / (sqrt(v) + eps), so that v = kept v' + c (change (sqrt(v) + eps))^2 with
    one share for all tensors, and a number c for each, in which its rate is. Each tensor counts alike.
    """
    along, across, left, size = 0.0, 0.0, 0.0, 0.0
    for state in states.values():
        if state.second_before is None or not bool(state.second_before.any()):
            continue
        pulled = ((state.after - state.before) * (state.second.sqrt() + eps)).square().reshape(-1)
        length = state.second.norm()
        earlier, later = (_beside(v.reshape(-1) / length, pulled) for v in (state.second_before, state.second))
        along += float(earlier @ earlier)
        across += float(earlier @ later)
        left += float(later @ later)
        size += 1.0
    if not along:
        return None
    rest = max(0.0, left - across**2 / along) / size
    return Kept(across / along, rest**0.5)


def _beside(v: Tensor, other: Tensor) -> Tensor:
    """What of a vector is not along another one."""
    unit = other / other.norm().clamp_min(torch.finfo(torch.float64).tiny)
    return torch.sub(v, unit, alpha=float(v @ unit))

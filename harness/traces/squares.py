"""The gradient of an optimizer that holds squares of it alone: by how much they grew tells its size in each step, and
where the parameters went its sign."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]


def gradients(
    parameters: tuple[Tensors, Tensors], squares: tuple[Tensors, Tensors], kept: float, added: float
) -> dict[str, Tensor]:
    """By tensor, float64 [of its shape]; decay and all, where that is part of it.

    Each pair is of before and after the step. `kept` and `added`: what the squares are the sum of, of themselves before
    the step and of the gradient's, in shares. 0 where the parameter stayed: its sign is unknown.
    """
    return {
        name: size(squares[0][name], after, kept, added) * _against(parameters[0][name], parameters[1][name])
        for name, after in squares[1].items()
    }


def size(before: Tensor, after: Tensor, kept: float, added: float) -> Tensor:
    """What squares before and after a step tell of a gradient, but for its signs: float64 [of their shape]."""
    grown = after.double() - kept * before.double()
    return (grown / max(added, torch.finfo(torch.float64).eps)).clamp_min(0.0).sqrt()


def _against(before: Tensor, after: Tensor) -> Tensor:
    return (before.double() - after.double()).sign()

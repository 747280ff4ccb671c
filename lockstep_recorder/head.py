"""What one pass of the head tells of every token: its loss, and its gradient's two factors as sketches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lockstep_recorder.sketch import Sketch

AT_ONCE = 512
"""Tokens whose logits are held in memory at a time."""


@dataclass(frozen=True)
class Passed:
    """Of n tokens, on the CPU."""

    delta: Tensor
    """float32 [n, R]: sketch of the loss's gradient at the head's output."""
    hidden: Tensor
    """float32 [n, C]: sketch of the head's input."""
    loss: Tensor
    """float32 [n], in nats."""
    length: Tensor
    """float32 [n]: of the whole gradient, not of its sketch."""


def look(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, bend: Callable[[Tensor], Tensor], by: Sketch
) -> Passed:
    """hidden: [n, width]. weight: [vocabulary, width]. targets: int64 [n]."""
    parts = []
    for start in range(0, len(hidden), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        parts.append(_part(hidden[here], weight, bias, targets[here], bend, by))
    joined = [torch.cat(each) for each in zip(*parts, strict=True)]
    return Passed(*(each.cpu() for each in joined))


def _part(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, bend: Callable[[Tensor], Tensor], by: Sketch
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        logits = torch.nn.functional.linear(hidden.to(weight.dtype), weight, bias).detach().float().requires_grad_()
        losses = torch.nn.functional.cross_entropy(bend(logits), targets, reduction="none")
        (delta,) = torch.autograd.grad(losses.sum(), logits)
    length = delta.norm(dim=1) * hidden.float().norm(dim=1)
    return by.rows.apply(delta, 1), by.columns.apply(hidden, 1), losses.detach(), length

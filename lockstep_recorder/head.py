"""What comes behind the last layer: norm and head, and the losses that they make of its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

AT_ONCE = 512
"""Tokens whose logits are held in memory at a time."""


@dataclass(frozen=True)
class Head:
    """What comes behind the last layer, whole."""

    weight: Tensor
    """[vocabulary, width]."""
    bias: Tensor | None
    bend: Callable[[Tensor], Tensor]
    norm: nn.Module | None
    """What comes before it."""

    def losses(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of hidden states [n, width]: the losses [n], and their gradient at the head's output, [n, vocabulary]."""
        logits = nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)
        logits = logits.detach().float().requires_grad_()
        losses = nn.functional.cross_entropy(self.bend(logits), targets, reduction="none")
        return losses.detach(), torch.autograd.grad(losses.sum(), logits)[0]

    def losses_before_norm(self, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of what goes into the norm [n, width]: the losses [n], and their gradient there, [n, width]."""
        assert self.norm is not None
        states = states.detach().requires_grad_()
        hidden = self.norm.forward(states)  # not by a call, whose hooks are others'
        logits = nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias).float()
        losses = nn.functional.cross_entropy(self.bend(logits), targets, reduction="none")
        return losses.detach(), torch.autograd.grad(losses.sum(), states)[0]

"""What is seen of every token: its loss, and the two factors of its gradient as sketches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lockstep_recorder.again import Call
from lockstep_recorder.head import AT_ONCE, Head
from lockstep_recorder.sketch import Sketch


@dataclass(frozen=True)
class Passed:
    """Of n tokens, on the CPU."""

    delta: Tensor
    """float32 [n, R]: sketch of the loss's gradient at the output of the matrix that is asked, mostly the head."""
    hidden: Tensor
    """float32 [n, C]: sketch of its input. A matrix that lies turned has the two the other way round."""
    loss: Tensor
    """float32 [n], in nats."""
    length: Tensor
    """float32 [n]: of the whole gradient, not of its sketch."""


@dataclass(frozen=True)
class States:
    """Of n tokens, where a gradient is asked."""

    hidden: Tensor
    """[n, width]: what the head is fed with; what the norm is fed with, if `given` is there."""
    given: Tensor | None = None
    """[n, another width]: what went into a matrix whose output is added to what the norm is fed with."""
    turned: bool = False
    """Whether the rows of that matrix are what goes in."""
    call: Call | None = None
    """Of the last layer, if it is to be run again."""

    def at(self, place: Tensor) -> States:
        """Of some of the tokens, int64 [m]."""
        given = None if self.given is None else self.given[place]
        return States(self.hidden[place], given, self.turned, self.call and replace(self.call, place=place))


def look(head: Head, by: Sketch, states: States, targets: Tensor) -> Passed:
    """What the head makes of the states of n tokens. targets: int64 [n]. Raises NotAgain."""
    if states.call is not None:
        with torch.enable_grad():
            dense, length, losses = states.call.gradients(head, by.rows, targets)
        return Passed(*(each.cpu() for each in (dense, torch.ones(len(dense), 1), losses, length)))
    parts = []
    for start in range(0, len(targets), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        of = head.losses if states.given is None else head.losses_before_norm
        with torch.enable_grad():
            losses, delta = of(states.hidden[here], targets[here])
        into = (states.hidden if states.given is None else states.given)[here]
        length = delta.float().norm(dim=1) * into.float().norm(dim=1)
        left, right = (into, delta) if states.turned else (delta, into)
        parts.append((by.rows.apply(left, 1), by.columns.apply(right, 1), losses, length))
    joined = [torch.cat(each) for each in zip(*parts, strict=True)]
    return Passed(*(each.cpu() for each in joined))

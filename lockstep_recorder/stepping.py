"""Whose steps are those of the model: engines have optimizers of their own, and some trainings have several."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch

from lockstep_recorder import samples
from lockstep_recorder.asked import Asked
from lockstep_recorder.state import steps


class Stepping:
    """The optimizers that were seen so far."""

    def __init__(self, only: Any = None) -> None:
        self.only = only
        """The optimizer whose steps count, if it was named."""
        self.within: Any = None
        """The one that is stepping; it may have others step for it."""
        self.given: dict[int, float] = {}
        """By id of a parameter that another optimizer has stepped in this step: the square of its gradient's length."""
        self._engine: Any = None
        self._leader: weakref.ref[Any] | None = None
        self._seen: set[int] = set()

    def around(self, optimizer: Any, before: Callable[[Any], None], after: Callable[[Any], None]) -> None:
        """Watch an engine's optimizer, which is none of torch's: its step, on this object alone."""
        if optimizer is None or self._engine is optimizer or isinstance(optimizer, torch.optim.Optimizer):
            return
        self._engine, step = optimizer, optimizer.step

        @functools.wraps(step)
        def watched(*args: Any, **kwargs: Any) -> Any:
            before(optimizer)
            result = step(*args, **kwargs)
            after(optimizer)
            return result

        optimizer.step = watched

    def counts(self, asked: Asked, optimizer: Any, watched: bool) -> bool:
        """Whether this is the outermost that steps the model. watched: whether this step is."""
        only = self.only if self._engine is None else self._engine
        if only is not None:
            return optimizer is only
        if self.within is not None and self.within is not optimizer:
            return False
        ours = {id(p) for p in asked.found.model.parameters()}
        mine = [p for group in optimizer.param_groups for p in group["params"] if id(p) in ours]
        new = id(optimizer) not in self._seen
        self._seen.add(id(optimizer))
        if mine and self._leads(asked, optimizer, new):
            return True
        if watched:
            self.given |= {id(p): samples.squares(p.grad) for p in mine if p.grad is not None}
        if new and not mine:
            print("lockstep: another model is trained as well, which is not recorded", file=sys.stderr, flush=True)
        return False

    def _leads(self, asked: Asked, optimizer: Any, new: bool) -> bool:
        """Of several that step one model, the one that has the head tells the steps; where none has it, the first."""
        anybody = not asked.found.weight.requires_grad or asked.found.units or not new
        if steps(asked.found.weight, optimizer) or (self._leader is None and anybody):
            self._leader = weakref.ref(optimizer)
        return self._leader is not None and self._leader() is optimizer

"""The matrix whose gradient tells the weights of tokens: the head, or, where that cannot be, one in the last layer."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from lockstep_recorder import flattened, sketch
from lockstep_recorder.again import Again, NotAgain
from lockstep_recorder.head import Head
from lockstep_recorder.inside import Inside, NotInside
from lockstep_recorder.look import States
from lockstep_recorder.model import Found
from lockstep_recorder.sketch import Sketch
from lockstep_recorder.state import Piece, piece


class Unasked(Exception):
    """No matrix can be asked; the message says why."""


class Asked:
    """Of one model."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self._why = _why_not_the_head(found)
        self.inside = Inside(found.base, found.shape[1], found.units) if self._why else None
        self.again = Again(None if self.inside is None else self.inside.layer, found.units)
        self._replays: bool | None = None
        """Whether the last layer is run again: the first pass decides."""

    @property
    def module(self) -> nn.Module:
        """Whose matrix it is. Raises Unasked."""
        if self.inside is None:
            return self.found.head
        if self._replays and self.again.module is not None:
            return self.again.module
        try:
            return self.inside.module
        except NotInside as error:
            raise self._unasked(error) from None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole matrix. Raises Unasked."""
        if self.inside is None:
            return self.found.shape
        shape = flattened.shape(self.module, self.found.units)
        return (math.prod(shape), 1) if self._replays else shape

    @property
    def waits(self) -> bool:
        """Whether it can be asked at the optimizer's step only. Rows of a tied head whose tokens are in an input of any
        rank are left out, for their gradient is the input's as well."""
        return self.found.tied and self.inside is None

    def states(self, into_norm: Tensor | None, hidden: Tensor) -> States:
        """Of a pass, [..., width] each, [tokens, width] of what comes back. Raises Unasked."""
        if self.inside is None:
            return States(_flat(hidden))
        if into_norm is None:
            raise Unasked(f"{self._why}, and no norm is found before it")
        if self._replays is None:
            self._replays = self.again.is_possible and not self.inside.adds
        try:
            if self._replays:
                return States(_flat(into_norm), call=self.again.call(into_norm))
            return States(_flat(into_norm), self.inside.given(into_norm), self.inside.turned)
        except (NotInside, NotAgain) as error:
            raise self._unasked(error) from None

    def head(self) -> Head | None:
        """The head, if it is whole now."""
        head, norm = self.found.head, self.found.norm if self.inside else None
        if not all(_is_whole(p) for p in (head.weight, *(norm.parameters() if norm is not None else ()))):
            return None
        bias = getattr(head, "bias", None)
        whole: Any = head.weight
        if whole.dim() != 2:
            return None
        return Head(whole.detach(), bias if isinstance(bias, Tensor) else None, self.found.bend, norm)

    def sketch(self) -> Sketch:
        """The map of its gradient. Raises Unasked."""
        if self._replays:
            return self.again.sketch(self.found.weight.device)
        rows, columns = self.shape
        return sketch.of_matrix(rows, columns, self.found.weight.device)

    def factor(self) -> float:
        """What all gradients of the tokens are to be multiplied by. Raises Unasked."""
        if self.inside is None or self._replays:
            return 1.0
        if self.inside.times is None:
            raise Unasked(f"{self._why}, and the last layer does not just add what its last trained matrix gives")
        return self.inside.times

    def held(self, optimizer: Any) -> Piece:
        """This rank's piece of it, and of the optimizer's state of it. Raises Unasked."""
        weight: Any = self.module.weight
        cut = flattened.cut(self.module, self.found.units)
        held = piece(weight, optimizer) if cut is None else cut.piece(optimizer)
        if held is None:
            what = "the head's state" if self.inside is None else "the state of the last layer's matrix"
            raise Unasked(f"{type(optimizer).__name__} keeps {what} where nobody knows")
        return held

    def name(self) -> str:
        """Among the model's parameters. Raises Unasked."""
        mine = self.module
        return next((f"{name}.weight" for name, module in self.found.model.named_modules() if module is mine), "")

    def forget(self) -> None:
        """What belongs to one step."""
        if self.inside is not None:
            self.inside.forget()
        self.again.forget()

    def _unasked(self, error: NotInside | NotAgain) -> Unasked:
        return Unasked(f"{self._why}, and {error}")


def _why_not_the_head(found: Found) -> str | None:
    """None: its gradient tells the weights."""
    cut = flattened.cut(found.head, found.units)
    if not (found.weight.requires_grad if cut is None else cut.is_trained):
        return "the head is frozen"
    if found.tied and (cut is not None or hasattr(found.weight, "placements")):
        return "the head is in pieces, and tied to the embeddings"
    return None


def _is_whole(weight: Any) -> bool:
    """Whether all of it is here now: engines free what they have lent."""
    return isinstance(weight, Tensor) and not hasattr(weight, "placements") and weight.untyped_storage().nbytes() > 0


def _flat(states: Tensor) -> Tensor:
    return states.detach().reshape(-1, states.shape[-1])

"""The matrix whose gradient tells the weights of tokens: the head, or, where that cannot be, one in the last layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lockstep_recorder import flattened, sketch
from lockstep_recorder.head import Head, States
from lockstep_recorder.inside import Inside, NotInside
from lockstep_recorder.model import Found
from lockstep_recorder.sketch import Sketch
from lockstep_recorder.state import Piece, piece, shape_of


class Unasked(Exception):
    """No matrix can be asked; the message says why."""


class Asked:
    """Of one model."""

    def __init__(self, found: Found, units: Mapping[int, Any]) -> None:
        self.found = found
        self._units = units
        self._why = _why_not_the_head(found, units)
        self.inside = Inside(found.base, shape_of(found.weight)[1]) if self._why else None

    @property
    def weight(self) -> Tensor:
        """The matrix, or this rank's shard of it. Raises Unasked."""
        if self.inside is None:
            return self.found.weight
        try:
            return self.inside.weight
        except NotInside as error:
            raise self._unasked(error) from None

    @property
    def flat(self) -> bool:
        """Whether parameters are cut out of flat ones, by FSDP's first kind."""
        return bool(self._units)

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
        try:
            return States(_flat(into_norm), self.inside.given(into_norm), self.inside.turned)
        except NotInside as error:
            raise self._unasked(error) from None

    def head(self) -> Head | None:
        """The head, if it is whole now."""
        head, norm = self.found.head, self.found.norm if self.inside else None
        needed: list[Any] = [head.weight, *(norm.parameters() if norm is not None else ())]
        if not all(isinstance(p, Tensor) and p.numel() and not hasattr(p, "placements") for p in needed):
            return None
        bias = getattr(head, "bias", None)
        whole: Tensor = needed[0].detach()
        return (
            Head(whole, bias if isinstance(bias, Tensor) else None, self.found.bend, norm) if whole.dim() == 2 else None
        )

    def sketch(self) -> Sketch:
        """The map of its gradient. Raises Unasked."""
        rows, columns = shape_of(self.weight)
        return sketch.of_matrix(rows, columns, self.found.weight.device)

    def factor(self) -> float:
        """What all gradients of the tokens are to be multiplied by. Raises Unasked."""
        if self.inside is None:
            return 1.0
        if self.inside.times is None:
            raise Unasked(f"{self._why}, and the last layer does not just add what its last trained matrix gives")
        return self.inside.times

    def held(self, optimizer: Any) -> Piece:
        """This rank's piece of it, and of the optimizer's state of it. Raises Unasked."""
        held = piece(self.weight, optimizer)
        if self.inside is None:
            held = flattened.of_head(self.found.head, self._units.values(), optimizer) or held
        if held is None:
            what = "the head's state" if self.inside is None else "the state of the last layer's matrix"
            raise Unasked(f"{type(optimizer).__name__} keeps {what} where nobody knows")
        return held

    def name(self) -> str:
        """Among the model's parameters. Raises Unasked."""
        mine = self.weight
        return next((name for name, p in self.found.model.named_parameters() if p is mine), "")

    def _unasked(self, error: NotInside) -> Unasked:
        return Unasked(f"{self._why}, and {error}")


def _why_not_the_head(found: Found, units: Mapping[int, Any]) -> str | None:
    """None: its gradient tells the weights. units: those of FSDP's first kind."""
    if not (found.weight.requires_grad or flattened.is_trained(found.head, units.values())):
        return "the head is frozen"
    if found.tied and hasattr(found.weight, "placements"):
        return "the head is in pieces, and tied to the embeddings"
    return None


def _flat(states: Tensor) -> Tensor:
    return states.detach().reshape(-1, states.shape[-1])

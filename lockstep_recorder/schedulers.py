"""How far the learning-rate schedulers of an optimizer have moved: read from them, as nothing tells of their steps."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from lockstep_recorder.state import inner

BY_RANK = "AcceleratedScheduler"
"""accelerate's, which moves the one inside of it once for every rank, by design."""


class Schedulers:
    """Those of torch, once they are found."""

    def __init__(self) -> None:
        self._found: list[tuple[weakref.ref[Any], bool]] = []

    def moved(self, optimizer: Any) -> list[dict[str, Any]]:
        """Class and number of moves of each, and whether it is meant to move once for every rank."""
        if not any(there() for there, _ in self._found):
            self._found = _of(optimizer)
        alive = [(there(), by_rank) for there, by_rank in self._found]
        return [
            {"class": type(one).__name__, "moves": int(one.last_epoch), "by_rank": by_rank}
            for one, by_rank in alive
            if one is not None
        ]


def _of(optimizer: Any) -> list[tuple[weakref.ref[Any], bool]]:
    ours = {id(optimizer), id(inner(optimizer))}
    every = gc.get_objects()
    # By their classes: an object may do anything when it is asked for what it is.
    wrapped = {id(vars(o).get("scheduler")) for o in every if type(o).__name__ == BY_RANK}
    mine = [o for o in every if issubclass(type(o), LRScheduler) and id(vars(o).get("optimizer")) in ours]
    return [(weakref.ref(o), id(o) in wrapped) for o in mine]

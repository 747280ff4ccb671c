"""torch's scaler of fp16 losses, which skips steps without a word: read from it, as no hook tells of it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import torch


class Scalers:
    """The one of this process, once it is found."""

    def __init__(self) -> None:
        self._found: weakref.ref[Any] | None = None
        self._looked = False
        self._scale = 0.0

    def shrunk(self) -> bool:
        """Whether its scale is smaller than it was, which it is after a step that it has skipped."""
        if not self._looked:
            self._found, self._looked = _scaler(), True
        one = self._found() if self._found is not None else None
        if one is None:
            return False
        before, self._scale = self._scale, float(one.get_scale())
        return self._scale < before


def _scaler() -> weakref.ref[Any] | None:
    # By their classes: an object may do anything when it is asked for what it is.
    kinds = (torch.amp.GradScaler,)
    return next((weakref.ref(one) for one in gc.get_objects() if issubclass(type(one), kinds)), None)

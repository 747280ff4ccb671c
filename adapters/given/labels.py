"""Which tokens a dataset marks as trained, told to whoever records, where the model's call has no labels."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from adapters.contract import IGNORED_LABEL, Shim

LABELS_TOLD = Shim(
    "labels-told",
    "the model is called without labels, for the framework multiplies losses by a mask: the token ids carry what the"
    " dataset's mask says, as an attribute that the recorder reads and the framework does not know",
)
LABELS = "lockstep_labels"
"""As in `lockstep_recorder.batch`."""
MOST = 4096
"""Batches that are kept: those of an accumulation window that is read before its first forward pass."""


def tell(ids: Tensor, trained: Tensor) -> None:
    """ids, trained: alike in shape; which tokens themselves are trained, whatever predicts them."""
    labels = torch.where(trained.bool(), ids, torch.full_like(ids, IGNORED_LABEL))
    setattr(ids, LABELS, labels)


def predicted(mask: Tensor) -> Tensor:
    """Of a mask [rows, tokens] over the tokens that predict, the mask of those that are predicted."""
    return torch.cat((torch.zeros_like(mask[:, :1]), mask[:, :-1]), dim=1)


class Masks:
    """The masks of batches that wait, by where the token ids are in memory."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, tuple[Tensor, Tensor]] = OrderedDict()

    def keep(self, ids: Tensor, mask: Tensor) -> None:
        self._held[ids.data_ptr()] = (ids, mask)
        if len(self._held) > MOST:
            self._held.popitem(last=False)

    def told(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """A forward pass whose first argument are token ids [rows, tokens], told before it begins."""

        @functools.wraps(forward)
        def call(model: Any, ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            kept = self._held.pop(ids.data_ptr(), None)
            if kept is not None:
                tell(ids, predicted(kept[1].reshape(ids.shape)))
            return forward(model, ids, *args, **kwargs)

        return call

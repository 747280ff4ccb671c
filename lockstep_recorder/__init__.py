"""Watches the optimizer steps of a training from inside it. Standard library and torch only.

It changes nothing that the training computes: it draws no random numbers of torch's, writes to no tensor of the
training, and takes part in no communication. An error in it ends the recording with a line on stderr, never the
training.

    from lockstep_recorder import watch
    watch(model, out="DIR", steps=range(3))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockstep_recorder.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from lockstep_recorder.watcher import Watcher

__all__ = ["Settings", "watch"]


def watch(model: nn.Module, *, out: str, steps: range | None = None, **settings: Any) -> Watcher:
    """See `lockstep_recorder.watcher.watch`; torch is imported only when it is called."""
    from lockstep_recorder import watcher

    return watcher.watch(model, out=out, steps=steps, **settings)

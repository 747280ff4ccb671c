"""Watches the optimizer steps of a training from inside it. Standard library and torch only.

It changes nothing that the training computes: it draws no random numbers of torch's, writes to no tensor of the
training, and takes part in no communication. An error in it ends the recording with a line on stderr, never the
training.

    from lockstep_recorder import watch
    with watch(model, optimizer, out="DIR"):
        train()
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from lockstep_recorder.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from lockstep_recorder.by_code import Watch

__all__ = ["Settings", "watch"]


def watch(
    model: nn.Module,
    optimizer: Any = None,
    *,
    out: str | PathLike[str],
    steps: Iterable[int] | None = None,
    every: int | None = None,
    keep_tokens: bool = False,
) -> Watch:
    """See `lockstep_recorder.by_code.watch`; torch is imported only when it is called."""
    from lockstep_recorder import by_code

    return by_code.watch(model, optimizer, out=out, steps=steps, every=every, keep_tokens=keep_tokens)

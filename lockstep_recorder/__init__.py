"""Watches the optimizer steps of a training from inside it. Standard library and torch only.

It changes nothing that the training computes: it draws no random numbers of torch's, writes to no tensor of the
training (buffers that a second run of a compiled model changes are put back), and takes part in no communication. An
error in it ends the recording with a line on stderr, never the training.

    from lockstep_recorder import watch
    with watch(model, optimizer, out="DIR"):
        train()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep_recorder.settings import Settings

if TYPE_CHECKING:
    from lockstep_recorder.by_code import watch

__all__ = ["Settings", "watch"]


def __getattr__(name: str) -> object:
    """`watch`, which imports torch: whoever only waits for torch does not ask for it."""
    if name == "watch":
        from lockstep_recorder import by_code

        return by_code.watch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

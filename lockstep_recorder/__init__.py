"""Watches the optimizer steps of a training from inside it. Standard library and torch only.

It changes nothing that the training computes: it draws no random numbers of torch's, writes to no tensor of the
training, and takes part in no communication. An error in it ends the recording with a line on stderr, never the
training.

    from lockstep_recorder import watch
    watch(model, out="DIR", steps=range(3))
"""

from lockstep_recorder.settings import Settings

__all__ = ["Settings", "watch"]


def watch(*args, **kwargs):  # type: ignore[no-untyped-def]
    """See `lockstep_recorder.watcher.watch`; imports torch only when it is called."""
    from lockstep_recorder import watcher

    return watcher.watch(*args, **kwargs)

"""A recording that code begins, around a training in its own process."""

from __future__ import annotations

import atexit
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import nn

from lockstep_recorder import about, sealing
from lockstep_recorder.names import HEADER, lines_file
from lockstep_recorder.recording import Recording
from lockstep_recorder.settings import FIRST, Settings
from lockstep_recorder.watcher import Watcher


class Watch:
    """A recording under way. It ends behind its last step, with `end()`, with its `with` block or with the process."""

    def __init__(self, watcher: Watcher) -> None:
        self.folder = Path(watcher.settings.out)
        self._watcher = watcher
        self._process = os.getpid()

    @property
    def written(self) -> int | None:
        """The last optimizer step that this rank has recorded."""
        return self._watcher.written

    def end(self) -> None:
        """Watch no more. What is written stays. Of a fork of the training's process, nothing."""
        if os.getpid() == self._process:
            self._watcher.end()
        atexit.unregister(self.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.end()


def watch(
    model: nn.Module,
    optimizer: Any = None,
    *,
    out: str | PathLike[str],
    steps: Iterable[int] | None = None,
    every: int | None = None,
    keep_tokens: bool = False,
) -> Watch:
    """Watch the optimizer steps of a model from here on.

    Call it on every rank, once the model is wrapped or sharded. The last rank that ends seals the recording.

    optimizer: count its steps alone, or else those of whatever steps the model. May be accelerate's or DeepSpeed's.
    out: folder of the recording; all ranks that see one disk are given the same.
    steps: optimizer steps that are watched, from 0 at this call; the first three, or none besides those of `every`.
    every: besides, every step that this number divides.
    keep_tokens: whether token ids are kept.
    Raises ValueError if there is no language model in `model`, FileExistsError if `out` holds a recording.
    """
    place = Path(fspath(out)).absolute()
    rank = about.rank()
    if (place / lines_file(rank)).exists() or (rank == 0 and (place / HEADER).exists()):
        raise FileExistsError(f"{place} holds a recording already; give each a folder of its own")
    ranges = tuple(_ranges(steps)) if steps is not None else FIRST if every is None else ()
    watcher = Watcher(Settings(str(place), ranges, every, keep_tokens), _seal)
    watcher.attach(model, unwrapped(optimizer))
    watcher.install()
    watched = Watch(watcher)
    atexit.register(watched.end)
    return watched


def unwrapped(optimizer: Any) -> Any:
    """The optimizer in accelerate's wrapper: torch's, or DeepSpeed's, which is watched as it is."""
    while any(kind.__module__.startswith("accelerate.") for kind in type(optimizer).__mro__):
        optimizer = optimizer.optimizer
    return optimizer


def _ranges(steps: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of steps."""
    for _, together in itertools.groupby(enumerate(sorted(set(steps))), lambda pair: pair[1] - pair[0]):
        numbers = [step for _, step in together]
        yield numbers[0], numbers[-1]


def _seal(recording: Recording) -> None:
    """What keeps it from being sealed is told; the training goes on."""
    if not recording.begun:
        return
    try:
        sealing.leave(recording.folder, recording.rank)
    except (OSError, ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        print(f"lockstep: the recording is not sealed ({why}); run `lockstep seal`", file=sys.stderr, flush=True)

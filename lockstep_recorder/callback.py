"""A callback of Hugging Face's Trainer: records its training, and logs what the tokens really weighed."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import CallbackHandler

from lockstep_recorder import about, by_code
from lockstep_recorder.by_code import Watch
from lockstep_recorder.exchange import PATIENCE
from lockstep_recorder.names import HEADER, lines_file

PREFIX = "lockstep/"


def _guarded(event: Callable[..., None]) -> Callable[..., None]:
    """An error ends what this callback does, and not the training."""

    @functools.wraps(event)
    def call(self: LockstepCallback, *args: Any, **kwargs: Any) -> None:
        try:
            with torch.no_grad():
                event(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, it is ours, and the training is the user's
            self.stop_logging(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")

    return call


class LockstepCallback(TrainerCallback):
    """Records as `lockstep_recorder.watch` does, and logs by whatever the Trainer reports to.

    After each watched step, under `lockstep/`: how many of the tokens have no weight, the largest weight over the
    smallest, the effective learning rate, the clip coefficient, and how much of the gradient nothing explains. For that
    Lockstep must be installed; with the folder `lockstep_recorder` alone the training is only recorded.
    """

    def __init__(
        self,
        out: str | PathLike[str],
        steps: Iterable[int] | None = None,
        every: int | None = None,
        keep_tokens: bool = False,
    ) -> None:
        """Arguments are those of `lockstep_recorder.watch`."""
        self._how: dict[str, Any] = {"out": out, "steps": steps, "every": every, "keep_tokens": keep_tokens}
        self._watch: Watch | None = None
        self._logs = True
        self._told: int | None = None
        """The last step that was logged."""

    @_guarded
    def on_train_begin(self, *_: Any, **given: Any) -> None:
        self._watch = by_code.watch(given["model"], given.get("optimizer"), **self._how)

    @_guarded
    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        watched = self._watch
        if watched is None or not self._logs or watched.written in (None, self._told):
            return
        self._told = watched.written
        if state.is_world_process_zero:
            self._log(_metrics(watched.folder, watched.written), args, state, control, **given)

    def _log(self, numbers: dict[str, float], args: Any, state: Any, control: Any, **given: Any) -> None:
        """By the callbacks that report to trackers, and by no other: one of the user's may look for a loss in it.

        Not by the Trainer's own `log`: TRL's ends the averages there that it logs later.
        """
        logs = {f"{PREFIX}{name}": value for name, value in numbers.items()}
        for callback in _handler().callbacks:
            if type(callback).__module__.startswith("transformers.integrations"):
                callback.on_log(args, state, control, model=given.get("model"), logs=dict(logs))

    @_guarded
    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._watch is not None:
            self._watch.end()

    def stop_logging(self, why: str) -> None:
        """Log no more, and say why."""
        self._logs = False
        if about.rank() == 0:
            what = "recorded" if self._watch is None else "logged"
            print(f"lockstep: nothing is {what} from here on: {why}", file=sys.stderr, flush=True)


def _handler() -> CallbackHandler:
    """Who calls the callback and all others. A callback is told the model and the optimizer, but not that."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, CallbackHandler):
            return caller
        frame = frame.f_back
    raise LookupError("no CallbackHandler of transformers has called the callback")


def _metrics(folder: Path, step: int | None) -> dict[str, float]:
    """What is logged of a step, from the recording of all ranks."""
    try:
        from harness.recordings import metrics
    except ImportError as error:
        raise ImportError(f"Lockstep is not installed here ({error}); the recording can be judged elsewhere") from None
    ranks = int(json.loads((folder / HEADER).read_bytes())["ranks"])
    until = time.monotonic() + PATIENCE
    while not all(_has(folder / lines_file(rank), step) for rank in range(ranks)):
        if time.monotonic() > until:
            raise TimeoutError(
                f"not all of the {ranks} ranks have recorded step {step} in {folder} in {PATIENCE:.0f} s"
            )
        time.sleep(0.01)
    assert step is not None
    return metrics.of_step(folder, step)


def _has(lines: Path, step: int | None) -> bool:
    """Whether a rank has told of a step, or of its end."""
    if not lines.exists():
        return False
    every = lines.read_bytes().splitlines()
    last = json.loads(every[-1]) if every else {}
    return bool(last) and ("ended" in last or last["step"] >= step)

"""The folder of a recording: what is written, and when."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from lockstep_recorder import about, flattened, names, samples, store
from lockstep_recorder.model import Found
from lockstep_recorder.state import shape_of


def told(error: Exception) -> str:
    """What the recording keeps of an error: no message of others, which may hold a path."""
    if type(error).__module__.partition(".")[0] == __package__:
        return f"{type(error).__name__}: {error}"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


class Taken(Exception):
    """Another process records this rank."""


class Recording:
    """The part of one rank. Rank 0 writes what is said once."""

    def __init__(self, out: str) -> None:
        self.folder = Path(out)
        self.rank = 0
        self.alone = ""
        """Why nothing is known of the other ranks, once they were waited for in vain."""
        self._process: int | None = None
        """Which has begun it: a fork of it is another training."""

    @property
    def begun(self) -> bool:
        """Whether this process writes the rank's file."""
        return self._process == os.getpid()

    def begin(self, found: Found, optimizer: Any) -> None:
        """Before the first watched step: the folder, and what the model and the machine are. Raises Taken."""
        self._claim()
        path = self.folder / names.HEADER
        if self.rank == 0 and not path.exists():
            store.write_json(path, header(found, optimizer))

    def step(self, number: int, said: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """A watched step: its tensors first, so that a line is never without them."""
        store.write_tensors(self.folder / names.tensors_file(number, self.rank), tensors)
        store.append_line(self.folder / names.lines_file(self.rank), {"step": number, **said})

    def ended(self, number: int, why: str) -> None:
        """Nothing is recorded from this step on; told if the disk allows it, and the file is this process's own."""
        with contextlib.suppress(Exception):
            self._claim()
            store.append_line(self.folder / names.lines_file(self.rank), {"step": number, "ended": why})

    def _claim(self) -> None:
        """The rank's file, which one process writes alone. Raises Taken."""
        if self.begun:
            return
        self.rank = about.rank()
        (self.folder / "tensors").mkdir(parents=True, exist_ok=True)
        try:
            (self.folder / names.lines_file(self.rank)).touch(exist_ok=False)
        except FileExistsError:
            raise Taken(f"another process records rank {self.rank} into this folder") from None
        self._process = os.getpid()


def header(found: Found, optimizer: Any) -> dict[str, Any]:
    """What is trained by what, on what."""
    every = list(found.model.named_parameters())
    parameters = samples.trained(found.model)
    owner = {id(p): i for i, group in enumerate(getattr(optimizer, "param_groups", [])) for p in group["params"]}
    vocabulary, width = found.shape
    whole = flattened.shapes(found.units)
    return {
        "schema": names.SCHEMA,
        "kind": "recording",
        "model": type(found.model).__name__,
        "optimizer": type(optimizer).__name__,
        "parameters": [
            {"name": n, "shape": list(whole.get(id(p), shape_of(p))), "group": owner.get(id(p))} for n, p in parameters
        ],
        "frozen": len(every) - len(parameters),
        "dtypes": about.dtypes([p for _, p in parameters]),
        "vocabulary": vocabulary,
        "width": width,
        "tied": found.tied,
        "norm": None if found.norm is None else type(found.norm).__name__,
        "ranks": about.world(),
        "packages": about.packages(),
        "machine": about.machine(found.weight.device),
    }

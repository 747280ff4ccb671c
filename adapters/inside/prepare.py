"""What an adapter needs done once per environment, such as compiling: `python -m adapters.inside.prepare ADAPTER`."""

from __future__ import annotations

import fcntl
import functools
import importlib
import os
import sys
from pathlib import Path


@functools.cache
def prepare(adapter: str) -> None:
    """Run the `prepare()` of that module of this package, if it has one; once per process and its forks.

    Where TORCH_EXTENSIONS_DIR is set, one process at a time, and `stamp` is left there. torch marks a build that is
    under way by a file called `lock`, which a killed build leaves behind and the next waits for without end
    (torch/utils/file_baton.py): while nobody else is preparing, such a file is stale, and is removed.
    """
    action = getattr(importlib.import_module(adapter), "prepare", None)
    if action is None:
        return
    if "TORCH_EXTENSIONS_DIR" not in os.environ:  # the folder that all of the user's programs share
        action()
        return
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "preparing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in folder.glob("*/lock"):
            stale.unlink()
        action()
        stamp(folder, adapter).touch()


def stamp(folder: Path, adapter: str) -> Path:
    """Exists once `prepare` has succeeded in that folder of extensions."""
    return folder / f"prepared-{adapter}"


if __name__ == "__main__":
    prepare(sys.argv[1])

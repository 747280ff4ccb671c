"""Claims: file locks that keep processes and threads from building, or removing, one environment twice at a time.

The kernel drops a claim when its holder dies, however it dies, so that no claim is ever stale.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = ".claims"

_leases: dict[Path, int] = {}
"""Environments in use by this process, until it ends."""


class Busy(Exception):
    """Somebody else holds the claim."""


def _open(root: Path, name: str) -> int:
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    # Claim files are never deleted: who waits for one would wait for a file that nobody else can open any more.
    return os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)


@contextmanager
def exclusive(root: Path, name: str, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the claim `name` under `root` alone; yields its file descriptor.

    A child process that inherits the descriptor keeps the claim alive if this process is killed. When somebody else
    has it, calls `waiting` and waits, or raises Busy if there is no `waiting`. Raises OSError if `root` is read-only.
    """
    descriptor = _open(root, name)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise Busy(name) from None
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        # Closing, not unlocking: unlocking would take the claim from an inheriting child too.
        os.close(descriptor)


def lease(root: Path, name: str) -> None:
    """Share the claim `name` until this process ends, which keeps `prune` away from what is in use."""
    key = (root / FOLDER / name).absolute()
    if key in _leases:
        return
    descriptor = _open(root, name)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if _leases.setdefault(key, descriptor) != descriptor:
        os.close(descriptor)

"""Temporary folders that do not outlive their owner for long: those of processes that were killed are swept.

Each is held by a file lock on the folder itself, which the kernel drops when its owner dies, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import processes

# Short, for the path of a socket below it has 107 characters at most, and multiprocessing makes such sockets.
_NAME = re.compile(r"\.?lockstep_[a-z]+_[a-z0-9_]{8}")
_NEW = "."
"""Before the name of a folder whose lock is not yet held."""
_STALE = 60.0
"""Seconds after which such a one is nobody's: it takes a millisecond."""


@contextlib.contextmanager
def folder(purpose: str) -> Iterator[Path]:
    """A folder for temporary files, removed at the end; of a killed process, by the next one that asks for one.

    `purpose`: small letters, for who looks into the folder of temporary files. Raises OSError.
    """
    parent = Path(tempfile.gettempdir())
    sweep(parent)
    made = Path(tempfile.mkdtemp(prefix=f"{_NEW}lockstep_{purpose}_", dir=parent))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = made.rename(made.with_name(made.name.removeprefix(_NEW)))
        yield place
    finally:
        for name in {made.name, made.name.removeprefix(_NEW)}:
            shutil.rmtree(parent / name, ignore_errors=True)
        os.close(lock)


@functools.cache
def sweep(parent: Path) -> None:
    """Remove this user's folders whose owner is dead, and end what still runs in them; once a process."""
    for path in parent.glob("*lockstep_*"):
        if _NAME.fullmatch(path.name):
            with contextlib.suppress(OSError):  # gone, or no folder, or its owner lives
                _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(lock)
        young = path.name.startswith(_NEW) and time.time() - status.st_mtime < _STALE
        if status.st_uid == os.geteuid() and not young:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            processes.end_all_in(path)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)

"""Claims: file locks that keep processes and threads from building or removing one environment, or writing into one
folder, at the same time.

The kernel drops a claim when its holder dies, however it dies, so that no claim is ever stale.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

FOLDER = ".claims"

_LONGEST = 200
"""Bytes of a claim's file that are read."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""What a file system answers that has no file locks."""

_leases: dict[Path, int] = {}
"""Environments in use by this process, until it ends."""


class Busy(Exception):
    """Somebody else holds the claim."""


class Taken(Exception):
    """Another process works in the folder; the message says which one it is, and since when."""


def _open(root: Path, name: str) -> int:
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, f"{FOLDER} in it is a symbolic link", str(root))
    # Claim files are never deleted: who waits for one would wait for a file that nobody else can open any more.
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, f"{FOLDER}/{name} in it is no regular file", str(root))


def _lock(descriptor: int, operation: int, place: Path) -> None:
    """Raises BlockingIOError, and OSError where the file system has no locks."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            said = f"its file system has no file locks, which keep two processes apart: {error.strerror}"
            raise OSError(error.errno, said, str(place)) from None
        raise


@contextmanager
def exclusive(root: Path, name: str, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the claim `name` under `root` alone; yields its file descriptor.

    A child process that inherits the descriptor keeps the claim alive if this process is killed. When somebody else
    has it, calls `waiting` and waits, or raises Busy if there is no `waiting`. Raises OSError if `root` is read-only,
    or on a file system without locks.
    """
    descriptor = _open(root, name)
    try:
        try:
            _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, root)
        except BlockingIOError:
            if waiting is None:
                raise Busy(name) from None
            waiting()
            _lock(descriptor, fcntl.LOCK_EX, root)
        yield descriptor
    finally:
        # Closing, not unlocking: unlocking would take the claim from an inheriting child too.
        os.close(descriptor)


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Work in a folder as the only one who holds its claim `name`. Raises Taken, and OSError as `exclusive` does."""
    with ExitStack() as held:
        try:
            descriptor = held.enter_context(exclusive(folder, name))
        except Busy:
            raise Taken(_holder(folder, name)) from None
        told = f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, told.encode(), 0)
        yield


def _holder(folder: Path, name: str) -> str:
    with (folder / FOLDER / name).open("rb") as file:
        said = file.read(_LONGEST).decode(errors="replace")
    return said if said.isprintable() and said else "just begun"


def lease(root: Path, name: str) -> None:
    """Share the claim `name` until this process ends, which keeps `prune` away from what is in use."""
    key = (root / FOLDER / name).absolute()
    if key in _leases:
        return
    descriptor = _open(root, name)
    _lock(descriptor, fcntl.LOCK_SH, root)
    if _leases.setdefault(key, descriptor) != descriptor:
        os.close(descriptor)

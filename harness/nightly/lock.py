"""One night at a time in a folder. The kernel drops the claim when its holder dies, so that none is ever stale."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from harness.environments import claims

CLAIM = "night"
_LONGEST = 200


class Taken(Exception):
    """Another night goes on; the message says which process it is, and since when."""


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises Taken, and OSError if it cannot be written."""
    try:
        with claims.exclusive(home, CLAIM) as descriptor:
            told = f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, told.encode(), 0)
            yield
    except claims.Busy:
        raise Taken(_holder(home)) from None


def _holder(home: Path) -> str:
    with (home / claims.FOLDER / CLAIM).open("rb") as file:
        return file.read(_LONGEST).decode(errors="replace").strip() or "just begun"

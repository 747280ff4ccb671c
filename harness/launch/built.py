"""A launcher whose environment is built on the machine that it runs on, in a folder that no other machine sees."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path

from adapters.contract import Job
from harness.environments import build, installer
from harness.environments.build import BuildFailed, Order
from harness.launch.outcome import Outcome
from harness.launch.template import Template, TemplateFailed
from harness.launch.torchrun import Torchrun


def place() -> Path:
    """Where environments are built on each machine: this user's own folder among those for temporary files."""
    return Path(tempfile.gettempdir()).absolute() / f"lockstep-envs-{os.geteuid()}"


def make(order: Order) -> None:
    """Build the environment of an order in this user's own folder. Raises BuildFailed, PermissionError for a folder in
    which somebody else could put an environment, and OSError."""
    root = order.root
    root.parent.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=0o700, exist_ok=True)
    if not (_is_safe(root.parent.stat(), (0, os.geteuid()), stat.S_ISVTX) and _is_safe(root.lstat(), (os.geteuid(),))):
        raise PermissionError(
            f"{root} is no folder of this user's own, in a place where nobody else can change it; remove it, or name"
            " another place by scratch in the site file"
        )
    build.fulfil(order, print)


def _is_safe(status: os.stat_result, owners: tuple[int, ...], kept: int = 0) -> bool:
    """Whether a folder is of these owners, and nobody else can write to it, or has the bit that keeps what is there."""
    of_others = status.st_mode & 0o022 and not status.st_mode & kept
    return stat.S_ISDIR(status.st_mode) and status.st_uid in owners and not of_others


class Built:
    """Builds an environment unless it is there, and then does what `inner` does."""

    def __init__(self, order: Order, inner: Template | Torchrun) -> None:
        self._order = order
        self._inner = inner
        self._closed = threading.Event()

    def start(self) -> None:
        """Raises TemplateFailed, where the environment cannot be built too."""
        try:
            make(self._order)
        except (BuildFailed, OSError) as error:
            last = getattr(error, "tail", "").strip().splitlines()[-1:]
            raise TemplateFailed(": ".join([str(error), *last])) from None
        if self._closed.is_set():
            raise TemplateFailed("closed")
        self._inner.start()

    def run(self, job: Job, timeout: float) -> Outcome:
        return self._inner.run(job, timeout)

    def close(self) -> None:
        """End all processes, an installer too."""
        self._closed.set()
        installer.kill_all()
        self._inner.close()

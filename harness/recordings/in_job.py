"""A user's command, recorded in a job of a cluster, on each of its nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from harness.launch.cluster.errands import Failed
from harness.launch.cluster.held import Held, JobEnded
from harness.launch.cluster.slurm import Allocation
from harness.processes import Kept
from harness.recordings import making
from harness.recordings.making import Made
from lockstep_recorder.names import RECORDER
from lockstep_recorder.settings import Settings

SPOOL, PRINTED = "job", "printed"
_STREAMS = ("out", "err")


def make(command: Sequence[str], settings: Settings, allocation: Allocation, note: Callable[[str], None]) -> Made:
    """Run the command to its end in a job, and print here what it prints. Its status is the first that is not 0.

    An interrupt ends the job. `note` is told what the job waits for. Raises BadCommand and OSError.
    """
    out = Path(settings.out)
    making.prepare(out)
    spool = out / RECORDER / SPOOL
    status, lost = -signal.SIGINT, None
    try:
        with contextlib.suppress(KeyboardInterrupt):
            status, lost = _run(command, settings, allocation, spool, note)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    made = making.conclude(out, status)
    if not made.steps and status < 0:
        shutil.rmtree(out / RECORDER)  # the same command may be given again
    return replace(made, lost=lost)


def _run(
    command: Sequence[str], settings: Settings, allocation: Allocation, spool: Path, note: Callable[[str], None]
) -> tuple[int, str | None]:
    """The status of the command, and how the job ended if that was before the command did."""
    shown = _Shown(spool / PRINTED)
    try:
        with Held(allocation, spool, note) as job:
            shown.folder.mkdir()
            given = (list(command), settings, str(Path.cwd()), str(shown.folder))
            codes = job.do(run_here, *given, failed=bool, meanwhile=shown.show)
            return next(filter(None, codes), 0), None
    except JobEnded as ended:
        return -signal.SIGKILL, str(ended)
    except Failed as failed:
        return -signal.SIGKILL, f"the command could not be started in its job: {failed}"
    finally:
        shown.show()


def run_here(command: list[str], settings: Settings, here: str, printed: str) -> int:
    """What a node of the job does: run the command in the folder `here`; its exit status. Raises OSError."""
    node = os.environ["SLURM_PROCID"]
    variables = making.variables(Path(settings.out), settings, os.environ)
    with contextlib.ExitStack() as held:
        out, err = (held.enter_context((Path(printed) / f"{node}.{name}").open("wb", 0)) for name in _STREAMS)
        kept = held.enter_context(contextlib.closing(Kept(command, variables, cwd=Path(here), stdout=out, stderr=err)))
        code = kept.wait().code
    return -signal.SIGKILL if code is None else code


class _Shown:
    """What the nodes have printed, of which each part is printed here once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shown: dict[Path, int] = {}

    def show(self) -> None:
        for name, stream in zip(_STREAMS, (sys.stdout, sys.stderr), strict=True):
            for path in sorted(self.folder.glob(f"*.{name}")):
                self._copy(path, stream.buffer)

    def _copy(self, path: Path, stream: BinaryIO) -> None:
        with path.open("rb") as file:  # opened anew, so that NFS looks
            file.seek(self._shown.get(path, 0))
            shutil.copyfileobj(file, stream)
            self._shown[path] = file.tell()
        stream.flush()

"""Runs a user's command with the recorder in every Python process of it, and seals what it has recorded."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import lockstep_recorder
from lockstep_recorder.names import RECORDER
from lockstep_recorder.sealing import seal, tidy
from lockstep_recorder.settings import VARIABLE, Settings

_SITE = "sitecustomize.py"


class BadCommand(Exception):
    """A command that cannot be started, or a folder that cannot hold a recording; one line with what to do."""


@dataclass(frozen=True)
class Made:
    """What came of a recorded command."""

    status: int
    """Exit status of the command, negative for a signal."""
    steps: tuple[int, ...]
    """Optimizer steps that were recorded."""
    ranks: int
    size: int
    """Bytes of the recording."""
    ended: tuple[str, ...]
    """Why ranks recorded no more, each reason once."""
    lost: str | None = None
    """How the job of a cluster ended that it ran in, if that was before the command did."""


def make(command: Sequence[str], settings: Settings) -> Made:
    """Run the command to its end, on this process's streams and with its variables. Raises BadCommand."""
    out = Path(settings.out)
    prepare(out)
    with _signals() as running:
        try:
            running.process = subprocess.Popen(list(command), env=variables(out, settings, os.environ))
        except OSError as error:
            shutil.rmtree(out / RECORDER)
            raise BadCommand(f"{command[0]} cannot be started ({error.strerror}); check the command") from None
        status = running.wait()
    return conclude(out, status)


def conclude(out: Path, status: int) -> Made:
    """What has come of a command that has ended; the recording is sealed, if there is one."""
    tidy(out)
    files = sorted(out.glob("steps-r*.jsonl"))
    lines = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    made = Made(
        status=status,
        steps=tuple(sorted({line["step"] for line in lines if "ended" not in line})),
        ranks=len(files),
        size=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
        ended=tuple(dict.fromkeys(line["ended"] for line in lines if "ended" in line)),
    )
    if made.steps:
        seal(out, status)
    return made


def prepare(out: Path) -> None:
    """An empty folder, and in it what the processes import. Raises BadCommand."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise BadCommand(f"{out} is not empty; give --out a folder of its own for each recording")
        source = Path(lockstep_recorder.__file__).parent
        place = out / RECORDER
        shutil.copytree(source, place / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(source / "inject.py", place / _SITE)
    except OSError as error:
        raise BadCommand(f"{out} cannot be written ({error.strerror}); give --out another folder") from None


def variables(out: Path, settings: Settings, base: Mapping[str, str]) -> dict[str, str]:
    """Those of the command: `base`, and the recorder before everything else that Python looks into."""
    path = os.pathsep.join(filter(None, [str((out / RECORDER).absolute()), base.get("PYTHONPATH")]))
    return {**base, "PYTHONPATH": path, VARIABLE: settings.dumps()}


class _Running:
    """The command, which gets every signal that this process gets."""

    process: subprocess.Popen[bytes] | None = None

    def wait(self) -> int:
        """Its exit status. An interrupt of the terminal has gone to it as well, so that it is waited for."""
        assert self.process is not None
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return self.process.wait()

    def hand_on(self, number: int, _: FrameType | None) -> None:
        if self.process is not None:
            self.process.send_signal(number)


@contextlib.contextmanager
def _signals() -> Iterator[_Running]:
    running = _Running()
    # What is ignored, as below nohup, stays so for the command.
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, running.hand_on) for number in heard}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

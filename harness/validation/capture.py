"""A script run, on request, to see how it launches a training: launchers only note how they were called."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files, printable, processes, temporary
from harness.environments.variables import is_secret
from harness.validation.known import ledger
from harness.validation.read import noting, redaction
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.launching import LAUNCHERS, TOOLS
from harness.validation.readers.families import READERS

TIMEOUT = 60.0
"""Seconds that a script may take."""
MOST_BYTES = 2**20
"""Of one note."""
CARRIERS = ("srun", "mpirun", "ray", "uv")
"""Start what stands behind their own options."""
QUIET = ("pip", "pip3", "huggingface-cli", "hf", "wandb", "swanlab")
"""Nothing is installed, fetched, or told to anybody."""
_QUIET_VERBS = ("ray start", "ray stop", "uv pip", "uv sync", "uv venv")
_PYTHONS = ("python", "python3", *(f"python3.{minor}" for minor in range(8, 15)))
_MODULES = (
    "torch.distributed.run",
    "torch.distributed.launch",
    "deepspeed.launcher.runner",
    "accelerate.commands.launch",
)
_DECIDE = (
    "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps",
)  # fmt: skip
"""Options that only a training has."""
_NAMES = "|".join(map(re.escape, (*TOOLS, *LAUNCHERS)))
_BY_PATH = re.compile(rf"/bin/(?:{_NAMES}|python[\d.]*)(?=[\s\"']|$)")


@dataclass(frozen=True)
class Captured:
    """How a script started a training."""

    words: tuple[str, ...]
    """Variables that decide something, and the command line."""
    here: Path
    """The folder that it was called in."""
    told: str


def run(words: Sequence[str]) -> Captured:
    """Run a script and return the first training that it would start. Raises BadConfiguration."""
    shown = redaction.line(shlex.join(words), 200)
    _check(words)
    with temporary.folder("capture") as folder:
        _prepared(folder)
        start = ["env", *words] if "=" in words[0] else list(words)
        wait = 'echo $$ >"$0"; "$@"; code=$?; sleep 0.3; exit $code'  # for what it has left in the background
        command = ["/bin/sh", "-c", wait, str(folder / noting.PID), *start]
        ended = _ended(command, _variables(folder), folder)
        notes = [_read(path) for path in sorted(folder.glob("*.note"))]
    return _first(notes, shown, ended)


def _first(notes: Sequence[dict[str, Any]], shown: str, ended: str) -> Captured:
    """The first training, if nothing unknown was called before it, which it may rest on. Raises BadConfiguration."""
    trainings = [note for note in notes if note["what"] == "training"]
    if notes and notes[0]["what"] == "unknown":
        raise BadConfiguration(
            f"{shown} calls {redaction.line(shlex.join(notes[0]['words']), 120)!r}, and what that does is not known: it"
            " was not run, and the script was ended there; read it without --capture, or give the training's command"
        )
    if not trainings:
        raise BadConfiguration(f"{shown} started no training that is known{ended}")
    which = f"the first of {len(trainings)} trainings" if len(trainings) > 1 else "the training"
    told = f"{shown} was run with launchers that only note how they are called; this is {which} that it would start"
    found = trainings[0]
    said = [f"{name}={value}" for name, value in found["variables"].items()]
    return Captured((*said, *found["words"]), Path(found["cwd"]), told)


def _check(words: Sequence[str]) -> None:
    """What would be started for good is seen before anything runs, as far as the script itself says it."""
    script = next((word for word in words if word.endswith(".sh")), None)
    if script is None:
        return
    try:
        text = files.read_text(Path(script), MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "no UTF-8"
        raise BadConfiguration(f"{script} cannot be read: {said}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#") and (found := _BY_PATH.search(line)):
            called = redaction.line(line[: found.end()].split()[-1], 120)
            raise BadConfiguration(f"{script}:{number} calls {called} by its path, where none can stand in for it")


def _prepared(folder: Path) -> None:
    """What stands in for launchers, also where a script puts another folder before it on PATH."""
    programs = [name for reader in READERS.values() for name in reader.programs]
    known = {
        "programs": programs, "modules": _MODULES, "options": _DECIDE, "carriers": CARRIERS, "quiet": _QUIET_VERBS,
        "launchers": (*TOOLS, *LAUNCHERS), "variables": ledger.deciding("variables"),
    }  # fmt: skip
    (folder / noting.KNOWN).write_text(json.dumps(known))
    (folder / "bin").mkdir()
    (folder / "home").mkdir()
    noter = shlex.join([sys.executable, "-I", "-S", noting.__file__, str(folder)])
    calls = {name: f'exec {noter} {name} "$@"' for name in (*TOOLS, *LAUNCHERS, *CARRIERS, *_PYTHONS)}
    calls |= dict.fromkeys(QUIET, "exit 0")
    for name, call in calls.items():
        place = folder / "bin" / name
        place.write_text(f"#!/bin/sh\n{call}\n")
        place.chmod(0o700)
    functions = [f'{name}() {{ {shlex.quote(str(folder / "bin" / name))} "$@"; }}' for name in calls]
    (folder / "functions").write_text("\n".join(functions) + "\n")


def _variables(folder: Path) -> dict[str, str]:
    """The user's own, but for secrets, and with a home and temporary files that nobody keeps."""
    plain = {name: redaction.REDACTED if is_secret(name) else value for name, value in os.environ.items()}
    own = {"HOME": folder / "home", "TMPDIR": folder / "home", "BASH_ENV": folder / "functions"}
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    return {**plain, **{name: str(place) for name, place in own.items()}, "PATH": path}


def _ended(command: Sequence[str], variables: dict[str, str], folder: Path) -> str:
    """How it ended, where it told no training. Raises BadConfiguration."""
    try:
        done = processes.run(command, variables, timeout=TIMEOUT, folder=folder)
    except processes.TimedOut:
        return f", and took longer than {TIMEOUT:.0f} s"
    except processes.TooMuchOutput:
        return f", and printed more than {processes.LARGEST >> 20} MiB"
    except (OSError, ValueError) as error:  # ValueError: a NUL in a word
        raise BadConfiguration(f"the script cannot be run: {getattr(error, 'strerror', None) or error}") from None
    last = next((line for line in reversed(done.errors.splitlines()) if line.strip()), "")
    said = f" ({printable.line(redaction.text(last), 200)})" if last else ""
    return f", and ended with status {done.code}{said}" if done.code else ""


def _read(path: Path) -> dict[str, Any]:
    """A note; it was written by ours, or by what the script ran."""
    try:
        note = json.loads(files.read(path, MOST_BYTES, follow=False))
        texts = [*note["words"], note["cwd"], *note["variables"].values()]
        if note["what"] in ("training", "unknown") and all(isinstance(text, str) for text in texts):
            return dict(note)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise BadConfiguration("what the script's launcher noted cannot be read; give the training's own command line")

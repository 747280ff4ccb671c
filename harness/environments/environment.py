"""An environment as the launcher sees it, and the record of it on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness import files

RECORD = "environment.json"
MAX_BYTES = 2**20
PYTHON = Path("venv/bin/python")
EXTENSIONS = "extensions"

_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Environment:
    """One framework release, ready to be run."""

    framework: str
    version: str
    python: Path
    """The interpreter, as an absolute path."""
    folder: Path
    """Everything of this environment that Lockstep owns."""
    extensions: Path
    """TORCH_EXTENSIONS_DIR: what the framework compiles at first use; never shared between releases."""
    adapter: str
    """Module that drives this release, such as `adapters.deepspeed_sft`."""
    lock: tuple[str, ...]
    """Every installed package as `name==version`."""
    lock_hash: str
    """Sixteen hex digits over the lock, the interpreter and machine, and a patch."""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Environment variables that every process needs; TORCH_EXTENSIONS_DIR is among them."""
    cpu_variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Environment variables of processes that run on the CPU."""

    def environ(self, device: Literal["cpu", "cuda"], base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a child process: `base` (this process's, by default) without its Python settings.

        The environment's own programs come first on PATH: torch looks for `ninja` there.
        """
        inherited = {k: v for k, v in (os.environ if base is None else base).items() if k not in _FOREIGN}
        path = os.pathsep.join([str(self.python.parent), *filter(None, [inherited.get("PATH")])])
        own = {**self.variables, **(self.cpu_variables if device == "cpu" else {})}
        return {**inherited, **own, "PATH": path}


class Record(BaseModel):
    """`environment.json`. It is written last: a folder without it was never finished."""

    model_config = ConfigDict(frozen=True)

    schema_: Literal[1] = 1
    framework: str
    version: str
    request: str
    """What was asked for, as `request.parse` reads it."""
    python: str
    """The interpreter; relative to the folder unless it is the user's own."""
    platform: str
    built: str
    """UTC, ISO 8601."""
    lock: tuple[str, ...]
    lock_hash: str

    def interpreter(self, folder: Path) -> Path:
        return folder / self.python


def lock_hash(lock: Sequence[str], platform: str) -> str:
    """Sixteen hex digits over a lock and the interpreter and machine it holds for."""
    return hashlib.sha256("\n".join([platform, *lock]).encode()).hexdigest()[:16]


def read_record(folder: Path) -> Record | None:
    """The record of a whole environment; None if it is unfinished or damaged, or its interpreter is gone."""
    try:
        record = Record.model_validate_json(files.read(folder / RECORD, MAX_BYTES))
    except (OSError, ValidationError):
        return None
    return record if os.access(record.interpreter(folder), os.X_OK) else None


def write_record(record: Record, folder: Path) -> None:
    """Write `folder/environment.json` and see it on the disk before returning."""
    with (folder / RECORD).open("w") as file:
        file.write(record.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())

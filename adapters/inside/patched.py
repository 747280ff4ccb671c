"""A user's own change to the framework, made in the process that has imported it and before any rank trains."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType

from adapters.contract import PATCHES, Patch, Shim, load_patches

MODULE = "lockstep_patch"
"""What the file is imported as."""


class PatchFailed(Exception):
    """The file could not be run, or refuses this release. The message is one line."""


@functools.cache
def apply() -> tuple[Shim, ...]:
    """Run the Python files that the environment variable `contract.PATCHES` tells of; once per process and its forks.

    Returns what to declare: empty without a patch. For a diff there is nothing to do but to declare it. Raises
    PatchFailed.
    """
    patches = load_patches(os.environ.get(PATCHES, "[]"))
    for patch in patches:
        _make(patch)
    return tuple(patch.shim for patch in patches)


def _make(patch: Patch) -> None:
    if patch.file is None:
        return
    try:
        _run(Path(patch.file), patch.sha256)
    except Exception as error:  # a user's file may raise anything; it is raised again, in one line
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise PatchFailed(f"{patch.shim.name} does not apply: {text}") from error


def _run(file: Path, sha256: str) -> None:
    """Import the file and call its `apply()`, unless it is not the one that was checked and reported by its hash."""
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RuntimeError(f"{file} has changed since the run began; start the run again")
    module = ModuleType(MODULE)
    module.__file__ = str(file)
    sys.modules[MODULE] = module
    exec(compile(content, str(file), "exec"), module.__dict__)
    module.apply()

"""The processes below this one, and what each of them is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36

KINDS = ("lockstep", "keeper", "template", "cell", "rank", "torchrun", "bwrap", "uv", "build", "other")


def adopt() -> None:
    """Become the parent of whatever loses its own below this process, so that nothing escapes from being counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(root: int) -> dict[int, str]:
    """What runs below a process, and of what kind it is; zombies do not."""
    parents = _parents()
    found: dict[int, str] = {}
    todo = [p for p, parent in parents.items() if parent == root]
    while todo:
        process = todo.pop()
        found[process] = _kind(process, parents)
        todo += [p for p, parent in parents.items() if parent == process]
    return found


def _parents() -> dict[int, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def _kind(process: int, parents: Mapping[int, int]) -> str:
    words = _words(process)
    program = Path(words[0]).name if words else ""
    if program in ("bwrap", "uv"):
        return program
    if any(word.endswith("inside/keeper.py") for word in words):
        return "keeper"
    if "adapters.inside.template" in words:
        depth, parent = 0, parents.get(process)
        while parent is not None and "adapters.inside.template" in _words(parent) and not _starts(parent):
            depth, parent = depth + 1, parents.get(parent)
        return ("template", "cell", "rank")[min(depth, 2)]
    if "adapters.inside.rank" in words:
        return "torchrun" if "torch.distributed.run" in words else "rank"
    if any(Path(word).name == "lockstep" for word in words[:2]):
        return "lockstep"
    above = parents.get(process)
    return "build" if above is not None and _kind(above, parents) in ("uv", "build") else "other"


def _starts(process: int) -> bool:
    """Whether it only has the words of a template, since it is to start one."""
    words = _words(process)
    return Path(words[0]).name == "bwrap" or any(word.endswith("inside/keeper.py") for word in words)


def _words(process: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [w for w in Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0") if w]
    return []


def reap(besides: int) -> None:
    """Forget children that have ended, but for one whose status somebody waits for."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if (state, int(parent)) == ("Z", os.getpid()) and int(stat.parent.name) != besides:
                os.waitpid(int(stat.parent.name), os.WNOHANG)


def seconds_until_none(most: float) -> tuple[float, dict[int, str]]:
    """How long it took until nothing was left below this process, and what is left after that time."""
    begun = time.monotonic()
    while (left := below(os.getpid())) and time.monotonic() - begun < most:
        reap(0)
        time.sleep(0.02)
    return time.monotonic() - begun, left

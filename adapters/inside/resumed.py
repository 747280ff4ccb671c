"""A run in two parts: what trains up to a checkpoint, and new processes that go on from it.

Each rank forks a process for the first part and does the second one itself, so that nothing goes from one to the other
but the files that the framework saves in the current folder.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from adapters.contract import CRASH, Job
from adapters.inside import keeper

SAVED = Path("resumed")
"""Folder for checkpoints of loops of ours, in the current one."""


class Saved(Exception):
    """Raised by an adapter in a framework's loop that has saved its checkpoint, to end the first part there."""


def run(job: Job, part: Callable[[Job], int]) -> int:
    """Run both parts, each by `part`; returns its exit status, of the first one that is not 0."""
    child = os.fork()
    if child == 0:
        _first(replace(job, part="before"), part)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        return code if code > 0 else 1
    if (Path(job.trace) / CRASH).exists():  # that of another rank
        return 1
    if fewer := job.scenario.window.resume_ranks:
        os.environ |= {"WORLD_SIZE": str(fewer), "LOCAL_WORLD_SIZE": str(fewer)}
        if int(os.environ["RANK"]) >= fewer:
            return 0
    return part(replace(job, part="after"))


def _first(job: Job, part: Callable[[Job], int]) -> None:
    """In the process of the first part; does not return."""
    code = 1
    try:
        keeper.die_with_parent(signal.SIGKILL)
        code = part(job)
    except BaseException:  # noqa: BLE001  told in the log; the process ends here whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def save(model: torch.nn.Module, optimizer: torch.optim.Optimizer, file: Path) -> None:
    """A checkpoint as PyTorch's tutorials have it; one rank writes it."""
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)


def load(model: torch.nn.Module, optimizer: torch.optim.Optimizer | None, file: Path) -> None:
    """The inverse of `save`; an optimizer that is not given begins anew."""
    saved = torch.load(file, weights_only=True)
    model.load_state_dict(saved["model"])
    if optimizer is not None:
        optimizer.load_state_dict(saved["optimizer"])

"""Telling when the environments have grown large, and how to make them smaller."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.commands.output import warn

LARGE = 20 * 10**9
"""Bytes: a dozen environments with torch for a CPU, or four with what CUDA needs."""


def warn_if_large(envs: Path | None) -> None:
    """One line on stderr if the environments in `envs`, or in the default place, take more than `LARGE`."""
    from harness.environments import disk_use, store

    root = envs or store.default_root()
    taken = disk_use.of(root)
    if taken is None or taken <= LARGE:
        return
    where = "" if envs is None else f" --envs {shlex.quote(str(envs))}"
    warn(
        f"the environments in {root} take {taken / 1e9:.0f} GB; `lockstep env prune --older-than 30{where}`"
        " removes those that were not used for 30 days, and `uv cache prune --ci` what they shared with uv's cache"
    )

"""What comes before DeepSpeed's engine, whoever drives it: its stages, late imports, and what its launcher would set.

Nothing here imports DeepSpeed: frameworks that can do without it ask as well.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

STAGES = {"none": 0, "zero1": 1, "zero2": 2, "zero3": 3}
"""ZeRO's stage by the scenario's `sharding`."""

INSTALLED = find_spec("deepspeed") is not None

MUON = "deepspeed.runtime.zero.muon"


def prepare() -> None:
    """Import what `deepspeed.initialize` would: it asks whether an optimizer is one of those made for ZeRO, for which
    releases with Muon import that (runtime/zero/utils.py), whose `@torch.compile` takes 500 modules of torch and
    seconds. Nothing where DeepSpeed is not installed.
    """
    if INSTALLED and find_spec(MUON):
        import_module(f"{MUON}.muon_optimizer")


def set_local_size() -> None:
    """Set LOCAL_SIZE, as DeepSpeed's own launcher does.

    ZeRO 3 of 0.15.1 otherwise asks `numactl` for the number of ranks (accelerator/cpu_accelerator.py).
    """
    os.environ["LOCAL_SIZE"] = os.environ["LOCAL_WORLD_SIZE"]

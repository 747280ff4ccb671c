"""The environment variables of what runs in a framework's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.environments import variables
from harness.environments.variables import BadVariable

FIXED: Mapping[str, str] = {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "MAX_JOBS": "2",  # of torch's own compiler runs
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",  # so that a log is whole up to the moment of a crash
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
}

_OURS = ("PATH", "PYTHONPATH", "TMPDIR", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


def child_environment(python: Path, own: Mapping[str, str], pythonpath: Path) -> dict[str, str]:
    """What frameworks need of this process's variables, `FIXED`, and the environment's `own`.

    Nothing that means another Python or another job is among them, and no secret. The interpreter's folder comes first
    on PATH: torch looks for `ninja` there. `pythonpath` comes before a PYTHONPATH among `own`.
    """
    groups = (variables.PLACE, variables.LIBRARIES, variables.COMPILER, variables.DEVICES, variables.CACHES)
    merged = {**variables.chosen(os.environ, *groups), **FIXED, **own}
    merged["PYTHONPATH"] = os.pathsep.join(filter(None, [str(pythonpath), own.get("PYTHONPATH")]))
    merged["PATH"] = os.pathsep.join(filter(None, [str(python.parent), merged.get("PATH")]))
    return merged


def passed(names: Sequence[str]) -> dict[str, str]:
    """The variables that the user wants frameworks to have as well.

    Raises BadVariable for one that there is not, and for one that Lockstep sets.
    """
    for name in names:
        if name in FIXED or name in _OURS or name.startswith("LOCKSTEP_"):
            raise BadVariable(f"--pass-env {name}: Lockstep sets that itself for what it runs; leave the option out")
    return variables.named(os.environ, names)

"""The environment variables of what runs in a framework's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_FOREIGN = (
    "GROUP_RANK", "GROUP_WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE", "LOCAL_WORLD_SIZE", "LOCKSTEP_PATCH",
    "LOCKSTEP_RENDEZVOUS", "MASTER_ADDR", "MASTER_PORT", "RANK", "VIRTUAL_ENV", "WORLD_SIZE", "__PYVENV_LAUNCHER__",
)  # fmt: skip
_FOREIGN_PREFIXES = (
    "ACCELERATE_", "COV_CORE_", "DEEPSPEED_", "DS_", "FSDP_", "OMPI_", "PMIX_", "PMI_", "PYTEST_", "PYTHON", "ROLE_",
    "TORCHELASTIC_",
)  # fmt: skip

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


def child_environment(python: Path, own: Mapping[str, str], pythonpath: Path) -> dict[str, str]:
    """This process's variables without what means another Python or another job, `FIXED`, and the environment's `own`.

    The interpreter's folder comes first on PATH: torch looks for `ninja` there. `pythonpath` comes before a PYTHONPATH
    among `own`.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in _FOREIGN and not k.startswith(_FOREIGN_PREFIXES)}
    merged = {**inherited, **FIXED, **own}
    merged["PYTHONPATH"] = os.pathsep.join(filter(None, [str(pythonpath), own.get("PYTHONPATH")]))
    merged["PATH"] = os.pathsep.join(filter(None, [str(python.parent), merged.get("PATH")]))
    return merged

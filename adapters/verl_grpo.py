"""verl's policy step on fixed rollouts: by the worker that the installed release trains its policy with."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("verl.workers.fsdp_workers"):  # up to 0.7.1
    from adapters.families.verl_fsdp_actor import prepare, shims, train, unsupported
else:
    from adapters.families.verl_engine_actor import prepare, shims, train, unsupported

__all__ = ["prepare", "shims", "train", "unsupported"]

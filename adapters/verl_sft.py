"""verl's supervised trainer: the one that the documentation of the installed release starts."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("verl.trainer.fsdp_sft_trainer"):  # up to 0.7.0
    from adapters.families.verl_fsdp_trainer import prepare, shims, train, unsupported
else:
    from adapters.families.verl_engine_trainer import prepare, shims, train, unsupported

__all__ = ["prepare", "shims", "train", "unsupported"]

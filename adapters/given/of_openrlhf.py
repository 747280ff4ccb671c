"""OpenRLHF's supervised trainer, with its adapter's shims, which puts a stand-in where OpenRLHF looks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from packaging.version import Version

from adapters.contract import Given, Shim
from adapters.families import deepspeed_shims
from adapters.families import openrlhf_shims as shims
from adapters.families.openrlhf_flags import DTYPE_BY_NAME
from adapters.given.labels import LABELS_TOLD, Masks
from adapters.given.stopping import stop


def apply(given: Given) -> Sequence[Shim]:
    """As `start` has it."""
    from openrlhf.trainer.sft_trainer import SFTTrainer
    from openrlhf.utils.deepspeed import deepspeed as strategy

    mesh = [shims.DEVICE_MESH] if hasattr(strategy, "init_device_mesh") else []
    asks = given.compute == "fp32" and Version(version("openrlhf")) >= DTYPE_BY_NAME
    precision = [shims.FULL_PRECISION] if asks else []
    engine = deepspeed_shims.running(version("deepspeed"), given.stage or 0, given.compute)
    cpu = [shims.CUDA_CALLS, *mesh, shims.TORCH_ADAM, shims.IN_PROCESS] if given.device == "cpu" else []
    here = [*cpu, *precision, *engine]
    shims.apply(here)
    tell_labels()
    SFTTrainer.save_logs_and_checkpoints = _stopped(SFTTrainer.save_logs_and_checkpoints, given.steps)
    return [*shims.FLASH_ATTENTION, *here, LABELS_TOLD]


def tell_labels() -> None:
    """Do what `LABELS_TOLD` says: OpenRLHF's masks are over the tokens that predict (SFTDataset.get_loss_mask)."""
    from openrlhf.datasets import SFTDataset
    from openrlhf.models import Actor

    masks, collated = Masks(), SFTDataset.collate_fn

    @functools.wraps(collated)
    def collate_fn(self: Any, rows: Any) -> Any:
        batch = collated(self, rows)
        masks.keep(batch[0], batch[2])
        return batch

    SFTDataset.collate_fn = collate_fn
    Actor.forward = masks.told(Actor.forward)


def _stopped(logged: Any, steps: int) -> Any:
    """What OpenRLHF calls after each optimizer step, ending the process after so many."""

    @functools.wraps(logged)
    def save_logs_and_checkpoints(trainer: Any, args: Any, step: int, *rest: Any, **more: Any) -> None:
        if step >= steps:
            stop()
        logged(trainer, args, step, *rest, **more)

    return save_logs_and_checkpoints

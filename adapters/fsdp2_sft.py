"""PyTorch's FSDP2, `fully_shard`, on every layer and on the whole Hugging Face model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import PreTrainedModel

from adapters.contract import Job, Scenario, Shim
from adapters.families import pytorch_loop
from adapters.families.loss_scaling import DTYPES
from adapters.families.pytorch_loop import Synchronised
from adapters.inside import modeling
from adapters.inside.recorder import Recorder

RESHARD = {"none": True, "fsdp": True, "zero3": True, "zero2": False}
"""Shardings that it has, and whether it frees the gathered parameters after the forward pass."""


prepare = modeling.import_all


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why FSDP2 cannot run this scenario; None if it can."""
    if scenario.sharding.strategy not in RESHARD:
        return f"torch {version} with FSDP2 shards the gradients as well: no sharding={scenario.sharding.strategy!r}"
    return pytorch_loop.unsupported(scenario, version)


def shims(job: Job) -> Sequence[Shim]:
    """None: nothing is changed in torch."""
    return ()


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps."""
    pytorch_loop.train(job, recorder, rank, world, wrap)


def wrap(scenario: Scenario, model: PreTrainedModel, world: int) -> tuple[torch.nn.Module, Synchronised]:
    """Parameters, gradients and state sharded; gradients reduced, in float32 unless told otherwise, at the last
    micro-batch."""
    low = DTYPES.get(scenario.precision.compute)
    reduced = torch.bfloat16 if scenario.precision.reduction == "bf16" else torch.float32
    how: Mapping[str, Any] = {
        "mesh": init_device_mesh(scenario.device, (world,)),
        "reshard_after_forward": RESHARD[scenario.sharding.strategy],
        "mp_policy": MixedPrecisionPolicy(param_dtype=low, reduce_dtype=reduced),
    }
    for module in model.modules():
        if type(module).__name__ in model._no_split_modules:  # the family's layers
            fully_shard(module, **how)
    sharded = fully_shard(model, **how)

    @contextlib.contextmanager
    def synchronised(last: bool) -> Iterator[None]:
        sharded.set_requires_gradient_sync(last)
        yield

    return sharded, synchronised

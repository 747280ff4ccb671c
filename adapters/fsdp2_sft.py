"""PyTorch's FSDP2, `fully_shard`, on every layer and on the whole Hugging Face model; or FSDP1, which was before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    ShardingStrategy,
    fully_shard,
)
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from transformers import PreTrainedModel

from adapters.contract import Job, Scenario, Shim
from adapters.families import pytorch_loop
from adapters.families.loss_scaling import DTYPES
from adapters.families.pytorch_loop import Synchronised
from adapters.inside import flat, modeling
from adapters.inside.recorder import Recorder

RESHARD = {"none": True, "fsdp": True, "zero3": True, "zero2": False}
"""Shardings that it has, and whether it frees the gathered parameters after the forward pass."""


prepare = modeling.import_all


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why FSDP2 cannot run this scenario; None if it can."""
    if scenario.sharding.strategy == "fsdp1":
        if scenario.window.resume_after and flat.cannot_save(scenario):
            return f"torch {version} has no resume_after with FSDP1 on a CPU: it frees what a checkpoint is made of"
        if _mixes_gradients(scenario):
            return (
                f"torch {version} has no accumulation in {scenario.precision.compute} with FSDP1 on one rank: it ends"
                " in an error at the second forward pass, for gradients of another dtype than their parameters"
                " (_use_sharded_grad_views in distributed/fsdp/_flat_param.py)"
            )
        if scenario.window.ranks == 1 and (scenario.model.lora is not None or scenario.model.frozen):
            return (
                f"torch {version} has no parameters that stay as they are with FSDP1 on one rank: those of a unit of"
                " which none is trained are no parameters any more after a forward pass, and cannot be recorded"
            )
    elif scenario.sharding.strategy not in RESHARD:
        return f"torch {version} with FSDP2 shards the gradients as well: no sharding={scenario.sharding.strategy!r}"
    return pytorch_loop.unsupported(scenario, version)


def _mixes_gradients(scenario: Scenario) -> bool:
    """Whether one rank, which shards nothing, computes with other numbers than it keeps, and accumulates."""
    alone = scenario.window.ranks == 1 and scenario.window.accumulation > 1
    return alone and scenario.precision.compute in DTYPES


def shims(job: Job) -> Sequence[Shim]:
    """None: nothing is changed in torch."""
    return ()


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps."""
    pytorch_loop.train(job, recorder, rank, world, wrap)


def wrap(scenario: Scenario, model: PreTrainedModel, world: int) -> tuple[torch.nn.Module, Synchronised]:
    """Parameters, gradients and state sharded; gradients reduced, in float32 unless told otherwise, at the last
    micro-batch."""
    if scenario.sharding.strategy == "fsdp1":
        return _flat(scenario, model, world)
    low, reduced = _dtypes(scenario)
    how: Mapping[str, Any] = {
        "mesh": _mesh(scenario, world),
        "reshard_after_forward": _reshard(scenario),
        "mp_policy": MixedPrecisionPolicy(param_dtype=low, reduce_dtype=reduced),
    }
    for module in model.modules():
        if type(module) in _layers(model):
            fully_shard(module, **how)
    sharded = fully_shard(model, **how)

    @contextlib.contextmanager
    def synchronised(last: bool) -> Iterator[None]:
        sharded.set_requires_gradient_sync(last)
        yield

    return sharded, synchronised


def _reshard(scenario: Scenario) -> bool | int:
    """Whether parameters are sharded again behind the forward pass, or among how many ranks."""
    among = scenario.sharding.secondary
    return RESHARD[scenario.sharding.strategy] if among == 1 else among


def _dtypes(scenario: Scenario) -> tuple[torch.dtype | None, torch.dtype]:
    """What parameters are computed with, if not as they are, and what gradients are reduced in."""
    reduced = torch.bfloat16 if scenario.precision.reduction == "bf16" else torch.float32
    return DTYPES.get(scenario.precision.compute), reduced


def _mesh(scenario: Scenario, world: int) -> DeviceMesh:
    """The ranks in one row, or in as many as hold all shards each."""
    replicas = scenario.sharding.replicas
    if replicas == 1:
        return init_device_mesh(scenario.device, (world,))
    return init_device_mesh(scenario.device, (replicas, world // replicas), mesh_dim_names=("replicate", "shard"))


def _flat(scenario: Scenario, model: PreTrainedModel, world: int) -> tuple[torch.nn.Module, Synchronised]:
    """The same by FSDP1."""
    low, reduced = _dtypes(scenario)
    hybrid = scenario.sharding.replicas > 1
    wrapped = FullyShardedDataParallel(
        model,
        auto_wrap_policy=ModuleWrapPolicy(_layers(model)),
        mixed_precision=MixedPrecision(param_dtype=low, reduce_dtype=reduced),
        device_id=torch.device(scenario.device),
        device_mesh=_mesh(scenario, world),
        sharding_strategy=ShardingStrategy.HYBRID_SHARD if hybrid else ShardingStrategy.FULL_SHARD,
        use_orig_params=True,
    )
    return wrapped, lambda last: contextlib.nullcontext() if last else wrapped.no_sync()


def _layers(model: PreTrainedModel) -> set[type[torch.nn.Module]]:
    """Classes of the family's layers."""
    return {type(module) for module in model.modules() if type(module).__name__ in model._no_split_modules}

"""Whole tensors out of what FSDP2 shards over the ranks, or FSDP1 (`flat`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor

from adapters.contract import STATE, Job, OptimizerKind
from adapters.inside import flat


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor unsharded, on every rank. Collective: all ranks must call it together, with the same names."""
    return {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in tensors.items()}


def state(
    parameters: Mapping[str, Tensor], optimizer: Any, kind: OptimizerKind = "adamw"
) -> tuple[dict[str, Tensor], ...]:
    """Parameters, and the optimizer's moments of those that are trained, unsharded, as `Recorder.step` takes them; zero
    as long as there are none, for every step was skipped. Collective."""

    def moment(p: Tensor, key: str) -> Tensor:
        return optimizer.state[p][key] if key in optimizer.state.get(p, {}) else torch.zeros_like(p)

    trained = {n: p for n, p in parameters.items() if p.requires_grad}
    moments = ({n: moment(p, key) for n, p in trained.items()} for key in STATE[kind])
    return (whole(parameters), *map(whole, moments))


def check(model: nn.Module, job: Job) -> None:
    """Raises RuntimeError where shards are not those of the FSDP that the scenario asks for, or not shared by as many
    ranks, as where a framework takes another way without a word."""
    asked = job.scenario.sharding
    ranks = job.scenario.window.ranks_at(job.steps.start) // asked.replicas
    kind = "FSDP1" if asked.strategy == "fsdp1" else "FSDP2"
    wanted, found = (kind, ranks), _shared(model)
    if found != wanted:
        has = f"{found[0]} of {found[1]}" if found else "none"
        raise RuntimeError(f"{type(model).__name__} should have shards by {kind} of {ranks} ranks, and has {has}")


def _shared(model: nn.Module) -> tuple[str, int] | None:
    """By which FSDP a model is sharded, and over how many ranks; None if it is not."""
    if isinstance(model, FullyShardedDataParallel):
        return "FSDP1", torch.distributed.get_world_size(model.process_group)
    meshes = [p.device_mesh for p in model.parameters() if isinstance(p, DTensor)]
    return ("FSDP2", meshes[0].size(meshes[0].ndim - 1)) if meshes else None


def parameters(model: nn.Module, named: flat.Named) -> dict[str, Tensor]:
    """Those of a model that either of the two shards, unsharded. Collective."""
    return flat.parameters(model, named) if isinstance(model, FullyShardedDataParallel) else whole(named(model))


def of_model(
    model: nn.Module, optimizer: Any, named: flat.Named, kind: OptimizerKind = "adamw"
) -> tuple[dict[str, Tensor], ...]:
    """`state` of a model that either of the two shards. Collective."""
    if isinstance(model, FullyShardedDataParallel):
        return flat.state(model, optimizer, named, kind)
    return state(named(model), optimizer, kind)

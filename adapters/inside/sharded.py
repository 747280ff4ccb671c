"""Whole tensors out of what FSDP2 shards over the ranks, or FSDP1 (`flat`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor

from adapters.contract import STATE, OptimizerKind, Scenario
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


def check(model: nn.Module, scenario: Scenario) -> None:
    """Raises RuntimeError where shards are not shared by as many ranks as the scenario asks for, as where a framework
    takes another way without a word."""
    wanted = scenario.window.ranks // scenario.sharding.replicas
    found = _sharing(model)
    if found != wanted:
        raise RuntimeError(f"{wanted} ranks should share the shards of {type(model).__name__}, and {found} do")


def _sharing(model: nn.Module) -> int:
    """How many ranks share the shards of a model."""
    if isinstance(model, FullyShardedDataParallel):
        return torch.distributed.get_world_size(model.process_group)
    meshes = [p.device_mesh for p in model.parameters() if isinstance(p, DTensor)]
    return meshes[0].size(meshes[0].ndim - 1) if meshes else 1


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

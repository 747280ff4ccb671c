"""Whole tensors out of what FSDP1 (FullyShardedDataParallel) keeps as shards of flat parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import (
    FlatParameter,
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    StateDictType,
)

from adapters.contract import STATE, OptimizerKind, Scenario
from adapters.inside.recorder import bare_name

"""AdamW's moments."""

Named = Callable[[nn.Module], Mapping[str, nn.Parameter]]
"""Every parameter of a module by the name that it has in a trace."""


def cannot_save(scenario: Scenario) -> bool:
    """Whether a checkpoint would end in a crash: FSDP1 copies what it gathers for one to the CPU, and where it is there
    already, it is memory that is freed (SIGSEGV in torch 2.13)."""
    return scenario.sharding.strategy == "fsdp1" and scenario.device == "cpu"


def inner(model: nn.Module) -> nn.Module:
    """The model itself, also where FSDP1 is wrapped around it."""
    wrapped: nn.Module = model.module if isinstance(model, FullyShardedDataParallel) else model
    return wrapped


def parameters(model: FullyShardedDataParallel, named: Named) -> dict[str, Tensor]:
    """Each parameter unsharded, on every rank. Collective."""
    with FullyShardedDataParallel.summon_full_params(model, writeback=False):
        return {name: p.detach().clone().requires_grad_(p.requires_grad) for name, p in named(model).items()}


def state(
    model: FullyShardedDataParallel, optimizer: Any, named: Named, kind: OptimizerKind = "adamw"
) -> tuple[dict[str, Tensor], ...]:
    """Parameters, and the optimizer's moments of those that are trained, as `Recorder.step` takes them; zero as long as
    there are none, for every step was skipped. Collective."""
    keys = STATE[kind]
    whole = parameters(model, named)
    pieces = {name: p for name, p in named(model).items() if not isinstance(p, FlatParameter)}
    if not pieces:
        held = _of_flat(model, optimizer, keys)
    else:
        held = {key: _gathered(model, {n: optimizer.state.get(p, {}) for n, p in pieces.items()}, key) for key in keys}
    nothing = {name: torch.zeros_like(p) for name, p in whole.items() if p.requires_grad}
    moments = ({**nothing, **{n: m.view_as(whole[n]) for n, m in held[key].items()}} for key in keys)
    return (whole, *moments)


def _of_flat(model: FullyShardedDataParallel, optimizer: Any, keys: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """Where the optimizer steps flat parameters: torch's own, which says whose parts they are."""
    everywhere = (FullStateDictConfig(rank0_only=False), FullOptimStateDictConfig(rank0_only=False))
    with FullyShardedDataParallel.state_dict_type(model, StateDictType.FULL_STATE_DICT, *everywhere):
        held = FullyShardedDataParallel.optim_state_dict(model, optimizer)["state"]
    return {key: {bare_name(name): m[key] for name, m in held.items()} for key in keys}


def _gathered(model: FullyShardedDataParallel, mine: Mapping[str, Mapping[str, Tensor]], key: str) -> dict[str, Tensor]:
    """Where it steps the parameters themselves (`use_orig_params`), each rank has a stretch of each of them, in order.

    torch's `optim_state_dict` gathers all moments into one buffer and copies them only from a GPU, so that on a CPU the
    first moment is the second (_optim_utils.py of 2.13).
    """
    every: list[Any] = [None] * torch.distributed.get_world_size(model.process_group)
    stretches = {name: state[key].flatten() for name, state in mine.items() if key in state}
    torch.distributed.all_gather_object(every, stretches, group=model.process_group)
    names = [name for name in mine if any(name in rank for rank in every)]
    return {name: torch.cat([rank[name] for rank in every if name in rank]) for name in names}

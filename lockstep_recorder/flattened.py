"""FSDP of torch's first kind (FullyShardedDataParallel): the parameters of a unit are cut out of one flat tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn

from lockstep_recorder.state import ELSEWHERE, Piece, values

CLASS = "FullyShardedDataParallel"


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside of units."""
    inner: Any = module
    while type(inner).__name__ == CLASS:
        inner = inner.module
    return cast(nn.Module, inner)


def units(module: nn.Module) -> dict[int, Any]:
    """All that are in a module, itself among them, by their ids."""
    return {id(m): m for m in module.modules() if type(m).__name__ == CLASS}


def of_head(head: nn.Module, units: Iterable[Any], optimizer: Any) -> Piece | None:
    """This rank's piece of the weight of `head`, a module inside one of the units; None if it is in none of them."""
    for unit in units:
        flat = unit._flat_param
        for i, info in enumerate(() if flat is None else flat._param_infos):
            if info.module is head and info.param_name == "weight":
                return _piece(unit, flat, i, optimizer)
    return None


def _piece(unit: Any, flat: Any, number: int, optimizer: Any) -> Piece | None:
    cut = unit._handle.uses_sharded_strategy
    if cut and unit.process_group.size() != torch.distributed.get_world_size():
        return None  # of several copies
    place = flat._shard_param_infos[number]
    if not place.in_shard:
        return ELSEWHERE
    if flat._params is not None:  # use_orig_params: the optimizer steps the parameter's own piece
        mine = flat._params[number]
        told = values(mine, optimizer)
    else:
        every = values(flat, optimizer)
        told = {k: v.narrow(0, place.offset_in_shard, place.numel_in_shard) for k, v in every.items()}
    whole = not cut and place.numel_in_shard == math.prod(flat._shapes[number])
    return Piece(place.intra_param_start_idx, whole, told)


def is_trained(head: nn.Module, units: Iterable[Any]) -> bool:
    """Whether the flat tensor that has the head's weight is trained."""
    flats = [unit._flat_param for unit in units if unit._flat_param is not None]
    return any(flat.requires_grad for flat in flats for info in flat._param_infos if info.module is head)

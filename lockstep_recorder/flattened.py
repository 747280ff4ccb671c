"""FSDP of torch's first kind (FullyShardedDataParallel): the parameters of a unit are cut out of one flat tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from lockstep_recorder.state import ELSEWHERE, Piece, shape_of, values

CLASS = "FullyShardedDataParallel"


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside of units."""
    inner: Any = module
    while type(inner).__name__ == CLASS:
        inner = inner.module
    return cast(nn.Module, inner)


def units(module: nn.Module) -> tuple[Any, ...]:
    """All that are in a module, itself among them."""
    return tuple(m for m in module.modules() if type(m).__name__ == CLASS)


@dataclass(frozen=True)
class Cut:
    """The weight of a module in one of the units."""

    unit: Any
    number: int
    """Among those that its flat tensor is made of."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole of it."""
        return tuple(self.unit._flat_param._shapes[self.number])

    @property
    def is_trained(self) -> bool:
        flat = self.unit._flat_param
        return bool((flat if flat._params is None else flat._params[self.number]).requires_grad)

    def piece(self, optimizer: Any) -> Piece | None:
        """This rank's; None where other ranks have a copy."""
        flat, sharded = self.unit._flat_param, self.unit._handle.uses_sharded_strategy
        if sharded and self.unit.process_group.size() != torch.distributed.get_world_size():
            return None
        place = flat._shard_param_infos[self.number]
        if not place.in_shard:
            return ELSEWHERE
        if flat._params is not None:  # use_orig_params: the optimizer steps the parameter's own piece
            told = values(flat._params[self.number], optimizer)
        else:
            every = values(flat, optimizer)
            told = {k: v.narrow(0, place.offset_in_shard, place.numel_in_shard) for k, v in every.items()}
        whole = not sharded and place.numel_in_shard == math.prod(self.shape)
        return Piece(place.intra_param_start_idx, whole, told)


def cut(module: nn.Module, units: Iterable[Any]) -> Cut | None:
    """Where the weight of a module is; None where it is in none of these units."""
    for unit in units:
        flat: Any = unit._flat_param
        if flat is None:
            continue
        shared = (info.prim_module for info in flat._shared_param_infos if _has_weight(info, module))
        owner = next(shared, module)
        for number, info in enumerate(flat._param_infos):
            if _has_weight(info, owner):
                return Cut(unit, number)
    return None


def _has_weight(info: Any, module: nn.Module) -> bool:
    return info.module is module and info.param_name == "weight"


def shape(module: Any, units: Iterable[Any]) -> tuple[int, ...]:
    """Of the whole weight of a module, whether it is in one of the units or not."""
    found = cut(module, units)
    return shape_of(module.weight) if found is None else found.shape


def shapes(units: Iterable[Any]) -> dict[int, tuple[int, ...]]:
    """Of whole parameters, by the ids of those that an optimizer steps a piece of."""
    flats = [unit._flat_param for unit in units if unit._flat_param is not None]
    return {id(p): tuple(shape) for flat in flats for p, shape in zip(flat._params or (), flat._shapes, strict=False)}

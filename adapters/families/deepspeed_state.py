"""Reads whole parameters and Adam moments out of a DeepSpeed engine, whichever way it holds or shards them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from deepspeed.runtime.fp16.fused_optimizer import FP16_Optimizer
from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer
from deepspeed.runtime.zero.partition_parameters import GatheredParameters
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
from torch import Tensor
from torch._utils import _unflatten_dense_tensors

from adapters.contract import STATE, OptimizerKind

Parameters = dict[str, torch.nn.Parameter]
Tensors = dict[str, Tensor]


def read(engine: Any, parameters: Parameters, rank: int, kind: OptimizerKind = "adamw") -> tuple[Tensors, ...]:
    """Everything that the recorder wants, on every rank: parameters, and the optimizer's moments, by the names of the
    Hugging Face model. Collective: all ranks must call it together."""
    moments = (read_moment(engine.optimizer, parameters, key) for key in STATE[kind])
    return (read_parameters(engine, parameters, rank), *moments)


def read_parameters(engine: Any, parameters: Parameters, rank: int) -> Tensors:
    """On rank 0 the masters that the optimizer updates; elsewhere what the module computes with. Collective.

    A parameter that ZeRO stage 3 has partitioned (it has a `ds_id`) has no copy of its own on any rank, so that the
    masters are told there as well. What is not trained has no master, and is gathered as it is.
    """
    held = held_without_zero(engine.optimizer, None)
    masters = {name: safe_get_full_fp32_param(p) for name, p in parameters.items() if p.requires_grad}
    fixed = _gathered({name: p for name, p in parameters.items() if not p.requires_grad})
    result: Tensors = {}
    for name, p in parameters.items():
        if name in fixed:
            result[name] = fixed[name]
        elif rank != 0:
            result[name] = masters[name] if hasattr(p, "ds_id") else p.detach().clone()
        else:
            result[name] = held.get(p, p.detach()) if masters[name] is None else masters[name]
    return result


def _gathered(parameters: Parameters) -> Tensors:
    """Copies of parameters as the module has them, on every rank, also where ZeRO stage 3 shards them. Collective."""
    sharded = [p for p in parameters.values() if hasattr(p, "ds_id")]
    with GatheredParameters(sharded):
        return {name: p.detach().clone() for name, p in parameters.items()}


def read_moment(optimizer: Any, parameters: Parameters, key: str) -> Tensors:
    """One of the optimizer's moments, of what is trained. Collective. Zero as long as every step was skipped."""
    parameters = {name: p for name, p in parameters.items() if p.requires_grad}
    if not stepped(optimizer):
        return {name: torch.zeros(getattr(p, "ds_shape", p.shape)) for name, p in parameters.items()}
    held = held_without_zero(optimizer, key)
    result: Tensors = {}
    for name, p in parameters.items():
        value = held[p] if p in held else safe_get_full_optimizer_state(p, key)
        result[name] = optimizer.state[p][key] if value is None else value
    return result


def held_without_zero(optimizer: Any, key: str | None) -> dict[Tensor, Tensor]:
    """By bf16 parameter, its float32 master, or the moment `key` of that, where DeepSpeed's accessors know of none.

    That is bf16 without ZeRO in 0.18.2 and later; in 0.15.2 BF16_Optimizer still takes it, which links its masters.
    An optimizer that DeepSpeed takes for a fused one has one flat master for each parameter group.
    """

    def wanted(master: Tensor) -> Tensor:
        return master if key is None else optimizer.optimizer.state[master][key]

    if isinstance(optimizer, FP16_UnfusedOptimizer):
        pairs = zip(chain(*optimizer.fp16_groups), chain(*optimizer.fp32_groups), strict=True)
        return {p: wanted(master) for p, master in pairs}
    if isinstance(optimizer, FP16_Optimizer):
        found: dict[Tensor, Tensor] = {}
        for group, flat in zip(optimizer.fp16_groups, optimizer.fp32_groups_flat, strict=True):
            found |= zip(group, _unflatten_dense_tensors(wanted(flat).detach(), group), strict=True)
        return found
    return {}


def stepped(optimizer: Any) -> bool:
    """Whether the optimizer has made a step: in fp16, the first ones may be skipped, for their gradient overflows."""
    inner = getattr(optimizer, "optimizer", optimizer)
    return any(key in state for state in inner.state.values() for key in _FIRST)


_FIRST = tuple(names[0] for names in STATE.values())


def relink_moments(optimizer: Any) -> bool:
    """Let ZeRO 1 and 2 link the moments of every parameter group: see `deepspeed_shims.RELINK_MOMENTS`.

    False, with nothing done, as long as there are none.
    """
    if not stepped(optimizer):
        return False
    optimizer._hp_optimizer_states_linked = False
    optimizer._lazy_init_hp_params_optimizer_state()
    return True

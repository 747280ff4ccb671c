"""What an optimizer holds for a parameter, wherever it keeps it: as pieces of the flattened tensor.

Every way of keeping it is one function below; what is kept in none of these ways is said to be unknown. None of them
communicates: each tells what this rank has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")
GRADIENT = "grad"
"""What the optimizer was given, where it holds no two moments that tell it."""


ADAMS = frozenset({"Adam", "AdamW", "NAdam", "RAdam", "FusedAdam", "DeepSpeedCPUAdam"})


@dataclass(frozen=True)
class Piece:
    """A piece of a parameter that this rank keeps, and the optimizer's state of it."""

    start: int
    """Its first entry in the flattened parameter."""
    whole: bool
    """Whether every rank keeps all of it; else the ranks' pieces make the whole together."""
    values: dict[str, Tensor]
    """By kind, 1-D and of one length. `param` is the master that the optimizer steps."""


ELSEWHERE = Piece(0, False, {})
"""Other ranks have it."""

Reader = Callable[[Any, Any], Piece | None]


def piece(parameter: Tensor, optimizer: Any) -> Piece | None:
    """The state of a parameter; None where nobody knows how it is kept."""
    for reader in (_zero_3, _zero_1_and_2, _masters, _redundancy, _sharded, _plain):
        found = reader(parameter, optimizer)
        if found is not None:
            return found
    return None


def steps(parameter: Tensor, optimizer: Any) -> bool:
    """Whether this optimizer of torch's kind steps this very tensor."""
    groups = getattr(optimizer, "param_groups", []) if hasattr(optimizer, "state") else []
    return any(p is parameter for group in groups for p in group["params"])


def values(parameter: Tensor, optimizer: Any) -> dict[str, Tensor]:
    """Of a tensor that an optimizer of torch's kind steps: itself, and Adam's moments or else its gradient."""
    held = optimizer.state.get(parameter, {})
    moments = {kind: held.get(kind) for kind in MOMENTS}
    adam = is_adam(optimizer) and all(_is_like(m, parameter) for m in moments.values())
    found = {"param": parameter, **(moments if adam else {GRADIENT: parameter.grad})}
    return {kind: local(v).detach().reshape(-1) for kind, v in found.items() if _is_like(v, parameter)}


def is_adam(optimizer: Any) -> bool:
    """Whether its first moment is a running mean of gradients. Others use the same names for other things."""
    return any(one.__name__ in ADAMS for one in type(optimizer).__mro__)


def decays_by_gradient(optimizer: Any) -> bool:
    """Whether it is an Adam that adds its weight decay to the gradient (L2), and not to the update as AdamW does."""
    one = inner(optimizer)
    groups = getattr(one, "param_groups", [])
    if not is_adam(one) or "AdamW" in type(one).__name__ or getattr(one, "adam_w_mode", False):
        return False
    return any(group.get("weight_decay") and not group.get("decoupled_weight_decay") for group in groups)


def local(value: Any) -> Any:
    """This rank's part of a tensor."""
    return value.to_local() if hasattr(value, "to_local") else value


def _is_like(value: Any, parameter: Tensor) -> bool:
    """Whether it holds a number for each of the parameter, and as it is, not quantized."""
    one, other = local(value), local(parameter)
    return type(one) in (Tensor, nn.Parameter) and one.numel() == other.numel() and one.is_floating_point()


def _plain(parameter: Tensor, optimizer: Any) -> Piece | None:
    """torch.optim: the whole state, by the parameter itself."""
    return Piece(0, True, values(parameter, optimizer)) if steps(parameter, optimizer) else None


def _redundancy(parameter: Tensor, optimizer: Any) -> Piece | None:
    """torch's ZeroRedundancyOptimizer: every parameter is stepped by one of the ranks, which tells it to the others."""
    local_one = getattr(optimizer, "optim", None)
    if type(optimizer).__name__ != "ZeroRedundancyOptimizer" or not steps(parameter, optimizer):
        return None
    return Piece(0, False, values(parameter, local_one)) if steps(parameter, local_one) else ELSEWHERE


def _sharded(parameter: Any, optimizer: Any) -> Piece | None:
    """FSDP2: parameters and state are DTensors, cut along their first axis."""
    placements = getattr(parameter, "placements", None)
    if placements is None or not steps(parameter, optimizer):
        return None
    cut = [p for p in placements if not p.is_replicate()]
    if len(cut) > 1 or any(type(p).__name__ != "Shard" or p.dim != 0 for p in cut):
        return None
    if cut and _is_copy(parameter, placements):
        return ELSEWHERE
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    _, offset = compute_local_shape_and_global_offset(parameter.shape, parameter.device_mesh, placements)
    width = math.prod(parameter.shape[1:])
    return Piece(int(offset[0]) * width, not cut, values(parameter, optimizer))


def _is_copy(parameter: Any, placements: Any) -> bool:
    """Whether another rank has the same piece and tells it: with HSDP, the first of those that are alike does."""
    where = parameter.device_mesh.get_coordinate()
    return where is None or any(p.is_replicate() and at for p, at in zip(placements, where, strict=True))


def _zero_1_and_2(parameter: Any, optimizer: Any) -> Piece | None:
    """DeepSpeed's ZeRO 1 and 2, and its bf16 optimizer: a fragment of the flattened parameter, or nothing of it."""
    if not hasattr(parameter, "_hp_mapping"):
        return None
    mapping = parameter._hp_mapping
    if mapping is None:
        return ELSEWHERE
    found = {"param": mapping.get_hp_fragment()}
    linked = mapping.optim_fragment or {}
    for kind in MOMENTS if is_adam(inner(optimizer)) else ():
        if kind in linked:
            found[kind] = mapping.get_hp_fragment(optim_state_key=kind)
        elif (flat := _unlinked(parameter, optimizer, kind)) is not None:
            address = mapping.hp_fragment_address
            found[kind] = flat.narrow(0, address.start, address.numel)
    return Piece(int(mapping.lp_fragment_address.start), False, {k: v.detach().reshape(-1) for k, v in found.items()})


def _unlinked(parameter: Tensor, optimizer: Any, kind: str) -> Tensor | None:
    """A moment of this rank's part of a whole parameter group: DeepSpeed links those of its first group alone."""
    groups, parts = (getattr(optimizer, n, []) for n in ("bit16_groups", "single_partition_of_fp32_groups"))
    for group, part in zip(groups, parts, strict=False):
        if any(p is parameter for p in group):
            found = inner(optimizer).state.get(part, {}).get(kind)
            return found if isinstance(found, Tensor) and found.shape == part.shape else None
    return None


def _masters(parameter: Tensor, optimizer: Any) -> Piece | None:
    """DeepSpeed without ZeRO in 16 bits: a master for each parameter, or a flat one for each group."""
    groups = getattr(optimizer, "fp16_groups", [])
    for group, masters in zip(groups, getattr(optimizer, "fp32_groups", []), strict=False):
        for p, master in zip(group, masters, strict=True):
            if p is parameter:
                return Piece(0, True, values(master, inner(optimizer)))
    for group, flat in zip(groups, getattr(optimizer, "fp32_groups_flat", []), strict=False):
        at = 0
        for p in group:
            if p is parameter:
                every = values(flat, inner(optimizer))
                return Piece(0, True, {k: v.narrow(0, at, p.numel()) for k, v in every.items()})
            at += p.numel()
    return None


def inner(optimizer: Any) -> Any:
    """Of torch's kind, inside of an engine's."""
    return getattr(optimizer, "optimizer", optimizer)


def _zero_3(parameter: Any, optimizer: Any) -> Piece | None:
    """DeepSpeed's ZeRO 3: an even part of the flattened parameter, the last rank's filled up."""
    if not hasattr(parameter, "ds_id") or not hasattr(parameter, "_z3_optimizer"):
        return None
    from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state

    group = parameter.ds_process_group
    if torch.distributed.get_world_size(group) != torch.distributed.get_world_size():
        return None  # of several copies
    every = {"param": safe_get_local_fp32_param(parameter)}
    for kind in MOMENTS if is_adam(inner(optimizer)) else ():
        try:
            every[kind] = safe_get_local_optimizer_state(parameter, kind)
        except (KeyError, ValueError):  # before the first step
            continue
    start = torch.distributed.get_rank(group) * int(parameter.ds_tensor.ds_numel)
    mine = max(0, min(int(parameter.ds_tensor.ds_numel), int(parameter.ds_numel) - start))
    told = {kind: v.detach().reshape(-1)[:mine] for kind, v in every.items() if isinstance(v, Tensor)}
    return Piece(start, False, told) if mine else ELSEWHERE


def shape_of(parameter: Tensor) -> tuple[int, ...]:
    """Of the whole parameter, whatever this rank keeps."""
    for name in ("ds_shape", "_unpadded_unsharded_size"):
        if hasattr(parameter, name):
            return tuple(getattr(parameter, name))
    return tuple(parameter.shape)


def is_piece(parameter: Any) -> bool:
    """Whether an engine keeps it in pieces: FSDP2, or DeepSpeed's ZeRO 3."""
    return hasattr(parameter, "placements") or hasattr(parameter, "ds_id")


def dtypes(pieces: Iterable[Piece | None]) -> dict[str, list[str]]:
    """Of the masters and the moments that an optimizer steps, each once."""
    each = [p for p in pieces if p is not None]
    return {
        what: sorted({str(p.values[kind].dtype).removeprefix("torch.") for p in each if kind in p.values})
        for what, kind in (("masters", "param"), ("moments", "exp_avg"))
    }

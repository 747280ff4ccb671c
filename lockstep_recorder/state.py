"""What an optimizer holds for a parameter, wherever it keeps it: as pieces of the flattened tensor.

Every way of keeping it is one function below; what is kept in none of these ways is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

KINDS = ("param", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Piece:
    """A piece of a parameter that this rank keeps, and the optimizer's state of it."""

    start: int
    """Its first entry in the flattened parameter."""
    whole: bool
    """Whether every rank keeps all of it; else the ranks' pieces make the whole together."""
    values: dict[str, Tensor]
    """By kind, 1-D and of one length."""


Reader = Callable[[Tensor, Any], Piece | None]


def piece(parameter: Tensor, optimizer: Any) -> Piece | None:
    """The state of a parameter; None where nobody knows how it is kept."""
    for reader in (_zero_1_and_2, _sharded, _plain):
        found = reader(parameter, optimizer)
        if found is not None:
            return found
    return None


def _flat(values: dict[str, Any]) -> dict[str, Tensor]:
    return {k: v.detach().reshape(-1) for k, v in values.items() if isinstance(v, Tensor) and v.dim() > 0}


def _chosen(state: Any) -> dict[str, Any]:
    return {kind: state[kind] for kind in KINDS if kind in state}


def _plain(parameter: Tensor, optimizer: Any) -> Piece | None:
    """torch.optim: the whole state, by the parameter itself."""
    state = getattr(optimizer, "state", None)
    if state is None or not any(p is parameter for group in optimizer.param_groups for p in group["params"]):
        return None
    values = _flat({"param": parameter, **_chosen(state.get(parameter, {}))})
    return Piece(0, True, values) if all(len(v) == parameter.numel() for v in values.values()) else None


def _sharded(parameter: Any, optimizer: Any) -> Piece | None:
    """FSDP2: parameters and state are DTensors, cut along their first axis."""
    placements, state = getattr(parameter, "placements", None), getattr(optimizer, "state", None)
    if placements is None or state is None:
        return None
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, offset = compute_local_shape_and_global_offset(parameter.shape, parameter.device_mesh, placements)
    if tuple(shape[1:]) != tuple(parameter.shape[1:]):
        return None
    held = {"param": parameter, **_chosen(state.get(parameter, {}))}
    local = {k: v.to_local() if hasattr(v, "to_local") else v for k, v in held.items()}
    whole = tuple(shape) == tuple(parameter.shape)
    width = parameter[0].numel() if parameter.dim() > 1 else 1
    return Piece(int(offset[0]) * width, whole, _flat(local))


def _zero_1_and_2(parameter: Any, optimizer: Any) -> Piece | None:
    """DeepSpeed's ZeRO 1 and 2: a fragment of the flattened parameter, or nothing of it."""
    if not hasattr(parameter, "_hp_mapping"):
        return None
    mapping = parameter._hp_mapping
    if mapping is None:  # other ranks have it
        return Piece(0, False, {})
    values = {"param": mapping.get_hp_fragment()}
    for kind in KINDS[1:]:
        if kind in (mapping.optim_fragment or {}):
            values[kind] = mapping.get_hp_fragment(optim_state_key=kind)
    return Piece(int(mapping.lp_fragment_address.start), False, _flat(values))


def shape_of(parameter: Tensor) -> tuple[int, ...]:
    """Of the whole parameter, whatever this rank keeps."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))

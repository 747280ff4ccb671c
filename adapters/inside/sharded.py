"""Whole tensors out of what FSDP2 shards over the ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from adapters.contract import STATE, OptimizerKind


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

"""A gradient as ranks hold it that shard every parameter by its first dimension, as FSDP2 and ZeRO 3 do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.oracle.clipping import clip_coefficient


def owners(parameters: Mapping[str, Tensor], ranks: int) -> Tensor:
    """The rank that holds each element: int64 [parameters], tensors in the order of their sorted names.

    As torch.chunk deals rows: as many to each rank as to the first, which has its share rounded up, while any are left.
    """
    return torch.cat([_rows(parameters[name], ranks) for name in sorted(parameters)])


def _rows(parameter: Tensor, ranks: int) -> Tensor:
    each = -(-parameter.shape[0] // ranks)
    owner = torch.arange(parameter.shape[0]) // each
    return owner.repeat_interleave(parameter[0].numel())


def norms(gradient: Tensor, owner: Tensor, ranks: int) -> Sequence[float]:
    """Of each rank's shard of a gradient [parameters]."""
    return [float(gradient[owner == rank].norm()) for rank in range(ranks)]


def clipped_alone(gradient: Tensor, owner: Tensor, ranks: int, limit: float | None) -> Tensor:
    """What is left of a gradient [parameters] where each shard is clipped by its own norm."""
    coefficients = [clip_coefficient(norm, limit) for norm in norms(gradient, owner, ranks)]
    return gradient * torch.tensor(coefficients, dtype=gradient.dtype)[owner]

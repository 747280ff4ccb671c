"""What a plan of the reference makes of gradients as if they were sharded by their first dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def clip_alone(gradients: Sequence[Tensor], limit: float | None, rank: int, world: int) -> float:
    """Clip every rank's shard by the norm of that shard alone; returns that of this rank's."""
    norms = [norm(gradients, each, world) for each in range(world)]
    if limit is not None:
        for each, length in enumerate(norms):
            torch._foreach_mul_(_shard(gradients, each, world), min(1.0, limit / (length + 1e-6)))
    return norms[rank]


def norm(gradients: Sequence[Tensor], rank: int, world: int) -> float:
    """Of a rank's shard."""
    return float(torch.nn.utils.get_total_norm(_shard(gradients, rank, world)))


def _shard(gradients: Sequence[Tensor], rank: int, world: int) -> list[Tensor]:
    dealt = [gradient.chunk(world) for gradient in gradients]
    return [chunks[rank] for chunks in dealt if rank < len(chunks)]


def of_half(gradient: Tensor, rank: int, world: int, add: Callable[[Tensor], Tensor]) -> Tensor:
    """The sum of a gradient over the half of the ranks that this one is in. `add`: over all of them."""
    both = torch.zeros(2, *gradient.shape, dtype=gradient.dtype)
    half = rank // (world // 2)
    both[half] = gradient
    return add(both)[half]

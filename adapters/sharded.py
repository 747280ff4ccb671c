"""Whole tensors out of what FSDP2 shards over the ranks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.distributed.tensor import DTensor


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor unsharded, on every rank. Collective: all ranks must call it together, with the same names."""
    return {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in tensors.items()}

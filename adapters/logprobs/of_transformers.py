"""transformers alone: a trainer's pass over whole rows, the same in automatic mixed precision, and a cache."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import DynamicCache

from adapters.logprobs.answer import Answer, loaded, logits, softened


def whole(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """One pass over whole rows, without a cache; parameters and arithmetic in the dtype."""
    return softened(logits(loaded(checkpoint, dtype), ids), ids)


def mixed(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer | None:
    """The same with parameters in float32 under torch.autocast, as the Trainer does it with `bf16` or `fp16`."""
    if dtype == torch.float32:
        return None
    model = loaded(checkpoint, torch.float32)
    with torch.autocast("cpu", dtype):
        scores = logits(model, ids)
    return softened(scores, ids)


def decoded(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """Token by token with a cache, as generation does it, each given token in the place of a sampled one."""
    model, cache = loaded(checkpoint, dtype), DynamicCache()
    steps = [
        model(input_ids=ids[:, place : place + 1], past_key_values=cache, use_cache=True).logits
        for place in range(ids.shape[1])
    ]
    return softened(torch.cat(steps, 1), ids)


WAYS = {"transformers": whole, "transformers-autocast": mixed, "transformers-decode": decoded}

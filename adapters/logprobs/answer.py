"""What a way of computing log-probabilities gives, and what several of them begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel


@dataclass(frozen=True)
class Answer:
    """Log-probabilities as the function gave them, in whatever dtype."""

    chosen: Tensor
    """[rows, length - 1]."""
    every: Tensor | None = None
    """[rows, length - 1, vocabulary]."""


Way = Callable[[Path, torch.dtype, Tensor], Answer | None]
"""ids: int64 [rows, length], all of them tokens."""


def loaded(checkpoint: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its parameters in a dtype, as `from_pretrained` gives it, to be evaluated."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype)
    return model.eval()


def logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Of one pass over whole rows without a cache: [rows, length, vocabulary]."""
    result: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    return result


def softened(scores: Tensor, ids: Tensor) -> Answer:
    """By a log-softmax in float32 of the logits of whole rows."""
    every = scores[:, :-1].float().log_softmax(-1)
    return Answer(every.gather(2, ids[:, 1:, None])[..., 0], every)

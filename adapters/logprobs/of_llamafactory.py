"""LLaMA-Factory's function, which sums over a row: each token is asked for in a row of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from adapters.contract import IGNORED_LABEL
from adapters.logprobs.answer import Answer, loaded, logits

import_module("adapters.llamafactory_sft")  # its stand-ins

from llamafactory.train.trainer_utils import get_batch_logps  # noqa: E402  after its stand-ins


def llamafactory(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """On logits in float32, as `concatenated_forward` of train/dpo/trainer.py makes them."""
    scores = logits(loaded(checkpoint, dtype), ids).to(torch.float32)
    return Answer(torch.stack([_of_row(*row) for row in zip(scores, ids, strict=True)]))


def _of_row(scores: Tensor, ids: Tensor) -> Tensor:
    """scores [length, vocabulary], ids [length]: of every token but the first."""
    places = torch.arange(1, len(ids))
    labels = torch.full((len(places), len(ids)), IGNORED_LABEL)
    labels[places - 1, places] = ids[1:]
    sums: Tensor
    sums, _ = get_batch_logps(scores.expand(len(places), -1, -1), labels)
    return sums


WAYS = {"llamafactory": llamafactory}

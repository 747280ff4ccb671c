"""TRL's GRPO trainer."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from adapters.logprobs.answer import Answer, loaded


def trl(checkpoint: Path, dtype: torch.dtype, ids: Tensor) -> Answer:
    """`_get_per_token_logps_and_entropies`, by which the trainer computes the old log-probabilities: its fused head, on
    a model in the dtype."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=loaded(checkpoint, dtype),
            reward_funcs=_nothing,
            args=GRPOConfig(folder, use_cpu=True, bf16=False, num_generations=2, per_device_train_batch_size=2),
            train_dataset=Dataset.from_list([{"prompt": ""}]),
            processing_class=AutoTokenizer.from_pretrained(checkpoint),
        )
        trainer.model.eval()
        chosen, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, torch.ones_like(ids), logits_to_keep=ids.shape[1] - 1
        )
    return Answer(chosen)


def _nothing(completions: Any, **_: Any) -> list[float]:
    return [0.0] * len(completions)


WAYS = {"trl": trl}

"""Which values of which fields the matrices combine. A default comes first; what people use most comes next.

How often published configurations say what: bf16 in 55 of 59, accumulation in 46, a warm-up in 43, cosine in 38,
checkpointing in 33, ZeRO 3 in 28, packing in 22, LoRA in 13, offload of optimizer and parameters in 9 each, another
clip than 1 in 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Size = Literal["smoke", "nightly", "full"]
Axes = Mapping[str, Sequence[Any]]
"""Values, as in a scenario's file, by the dotted path of a field or of a group."""

COSINE = {"decay": "cosine", "warmup_steps": 1, "warmup_from": "zero"}
LORA = {"rank": 8, "alpha": 16.0}
"""With fewer numbers to learn, those of a large window do not tell the weights of its tokens apart. The scale is not 1:
a scale that is applied twice would be that as well."""
OFFLOADED = {"strategy": "zero2", "offload_optimizer": True}
"""One value of one axis, so that each number of micro-batches is met by an offloaded optimizer under ZeRO 2: what
DeepSpeed 0.15.2 to 0.18.9 lose takes all three, and pairs of single fields need not hold them."""

SMOKE: Axes = {
    "window.ranks": (2, 1),
    "window.micro_batch_size": (1, 2),
    "window.accumulation": (3, 2),
    "data.order": ("given", "shuffled"),
    "model.tied_embeddings": (False, True),
    "model.gradient_checkpointing": (False, True),
    "optimizer.max_grad_norm": (1.0, "none"),
    "optimizer.weight_decay": (0.0, 0.1),
    "optimizer.schedule": ({}, COSINE),
    "precision.compute": ("fp32", "bf16"),
    "sharding": ({}, {"strategy": "zero3"}, {"strategy": "fsdp"}, OFFLOADED),
}
"""The smoke matrix: the most used value beside each default."""

NIGHTLY: Axes = {
    **SMOKE,
    "window.accumulation": (3, 1, 2, 4),
    "data.order": ("given", "shuffled", "by-length"),
    "data.row_format": ("conversation", "prompt-completion"),
    "data.rows_per_sequence": (1, 2),
    "model.architecture": ("llama", "qwen2", "qwen3", "gpt2", "gemma2"),
    "model.lora": ("none", LORA),
    "optimizer.max_grad_norm": (1.0, "none", 0.3),
    "optimizer.beta2": (0.999, 0.95),
    "optimizer.schedule": (
        {},
        COSINE,
        {"warmup_steps": 3},
        {"decay": "linear", "warmup_from": "zero", "warmup_steps": 1},
        {**COSINE, "least": 0.1},
    ),
    "sharding": (
        {},
        *({"strategy": name} for name in ("zero1", "zero2", "zero3", "fsdp", "fsdp1")),
        OFFLOADED,
        {**OFFLOADED, "strategy": "zero3"},
    ),
    "loss.label_smoothing": (0.0, 0.1),
    "loss.token_weight": ("one", "probability"),
}
"""The nightly matrix: every value that people use."""

FULL: Axes = {
    **NIGHTLY,
    "window.ranks": (2, 1, 4),
    "window.micro_batch_size": (1, 2, 4),
    "window.accumulation": (3, 1, 2, 4, 8),
    "optimizer.beta1": (0.9, 0.95),
    "optimizer.eps": (1e-8, 1e-6),
    "tokenizer.padding_side": ("right", "left"),
    "window.resume_after": (0, 1),
    "model.neftune_alpha": (0.0, 5.0),
    "model.extra_rows": (0, 24),
}

RARE = frozenset(
    {
        "loss.label_smoothing",
        "loss.token_weight",
        "tokenizer.padding_side",
        "window.resume_after",
        "model.neftune_alpha",
        "model.extra_rows",
    }
)
"""Few have these: no more rows than the pairs need. What is wrong with them also hides what else is wrong in a row."""

AXES: Mapping[Size, Axes] = {"smoke": SMOKE, "nightly": NIGHTLY, "full": FULL}
SIZES: tuple[Size, ...] = ("smoke", "nightly", "full")

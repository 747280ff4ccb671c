"""Configurations as people write them, made here, and what the plan of one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.validation import plan, reading
from harness.validation.known.pins import Pins
from harness.validation.record import KeyRecord, PartRecord, Plan

FACTORY: dict[str, Any] = {
    "model_name_or_path": "somebody/model-7b",
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "dataset": "mine",
    "template": "qwen",
    "cutoff_len": 4096,
    "output_dir": "out",
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "learning_rate": 2e-5,
    "num_train_epochs": 3,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "bf16": True,
}
TRL: dict[str, Any] = {
    "model_name_or_path": "somebody/model-1b",
    "dataset_name": "somebody/rows",
    "max_length": 1024,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 16,
    "learning_rate": 1e-5,
    "max_steps": 1000,
    "lr_scheduler_type": "cosine_with_min_lr",
    "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "warmup_steps": 100,
    "weight_decay": 0.1,
    "max_grad_norm": 0.5,
    "optim": "adamw_torch_fused",
    "attn_implementation": "flash_attention_2",
}
AXOLOTL: dict[str, Any] = {
    "base_model": "somebody/model-1b",
    "datasets": [{"path": "somebody/rows", "type": "alpaca"}],
    "sequence_len": 2048,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "optimizer": "adamw_8bit",
    "lr_scheduler": "cosine",
    "learning_rate": 2e-4,
    "warmup_ratio": 0.1,
    "bf16": "auto",
    "resume_from_checkpoint": None,
}
ENGINE: dict[str, Any] = {
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 2, "overlap_comm": True},
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
}
WARMUP: dict[str, Any] = {
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"}},
    "scheduler": {
        "type": "WarmupLR",
        "params": {"warmup_min_lr": "auto", "warmup_max_lr": "auto", "warmup_num_steps": "auto"},
    },
}
LAUNCHED: dict[str, Any] = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "DEEPSPEED",
    "deepspeed_config": {"zero_stage": 3, "offload_optimizer_device": "none"},
    "mixed_precision": "bf16",
    "num_processes": 4,
    "num_machines": 1,
}


def file(folder: Path, name: str, values: dict[str, Any]) -> Path:
    """As JSON, which YAML is too."""
    place = folder / name
    place.write_text(json.dumps(values))
    return place


def of(
    *words: str,
    beside: tuple[Path, ...] = (),
    world: int | None = 2,
    rows: int | None = None,
    pins: Pins | None = None,
    data: Path | None = None,
    **versions: str,
) -> Plan:
    """The plan of a command's words. Raises BadConfiguration."""
    return plan.made(reading.read(words, beside, world, rows=data), pins or Pins(versions), rows)


def part(told: Plan, what: str) -> PartRecord:
    return next(one for one in told.step if one.what == what)


def row(told: Plan, key: str) -> KeyRecord:
    return next(one for one in told.ledger if one.key == key)


def factory(folder: Path, engine: dict[str, Any] | None = None, rows: int | None = None, **changed: Any) -> Plan:
    """The plan of a file of LLaMA-Factory's with these values changed."""
    beside = () if engine is None else (file(folder, "ds.json", engine),)
    values = {**FACTORY, **changed}
    return of(str(file(folder, "sft.yaml", values)), beside=beside, rows=rows)

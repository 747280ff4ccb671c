"""What runs, on what: for the head of a recording. No path, no argument and no variable of the environment is kept."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch

PACKAGES = (
    "torch", "transformers", "accelerate", "trl", "peft", "deepspeed", "openrlhf", "verl", "llamafactory", "ms-swift",
    "axolotl", "datasets", "tokenizers", "liger-kernel", "flash-attn", "bitsandbytes", "lightning", "torchtune",
)  # fmt: skip


def rank() -> int:
    """Of this process among those of the training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return int(torch.distributed.get_rank())
    return int(os.environ.get("RANK") or "0")


def world() -> int:
    """Processes of the training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return int(torch.distributed.get_world_size())
    return int(os.environ.get("WORLD_SIZE") or "1")


def packages() -> dict[str, str]:
    """Versions of those that decide a training, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine(device: torch.device) -> dict[str, Any]:
    """The hardware, without its name."""
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "kind": kind, "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def dtypes(parameters: list[Any]) -> list[str]:
    """Of some tensors, each once."""
    return sorted({str(p.dtype).replace("torch.", "") for p in parameters})

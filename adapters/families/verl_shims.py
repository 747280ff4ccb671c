"""What both of verl's trainers need on a CPU."""

from __future__ import annotations

import torch

from adapters.contract import Shim

MEMORY = Shim(
    "no-device-memory",
    "verl empties the device's cache and logs how much of its memory is in use, which torch.cpu has no functions for"
    " (utils/memory_utils.py, utils/debug/performance.py in 0.5.0, workers/engine_workers.py): they are added, do"
    " nothing and say 0",
)


def give_the_cpu_memory_figures() -> None:
    """Do what `MEMORY` says, in this process."""
    figures = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved", "empty_cache")
    for name in figures:
        setattr(torch.cpu, name, lambda: 0)
    torch.cpu.mem_get_info = lambda: (0, 0)  # type: ignore[attr-defined]  # free, total

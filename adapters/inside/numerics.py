"""How a device computes, as far as torch can be told, and what it took of memory."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

import torch

from adapters.contract import Job

CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it torch refuses to multiply matrices on CUDA where everything is to be deterministic."""


def settle(job: Job) -> None:
    """Float32 is float32: no TensorFloat-32, of 10 bits, on CUDA. And the same bits in every run, if they are asked
    for; an operation that has no such way raises then."""
    torch.set_float32_matmul_precision("highest")
    if job.scenario.device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    if job.deterministic:
        os.environ.setdefault(*CUBLAS)
        torch.use_deterministic_algorithms(True)


def told() -> dict[str, Any]:
    """What torch says of it."""
    return {
        "float32_products": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def peak() -> dict[str, int | None]:
    """Bytes: the most of a CUDA device since the last call, by tensors and as reserved of it; None where none is used.
    And the most of the machine's memory since the process began."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    allocated = reserved = None
    if torch.cuda.is_initialized():
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        torch.cuda.reset_peak_memory_stats()
    return {"allocated": allocated, "reserved": reserved, "resident": resident}

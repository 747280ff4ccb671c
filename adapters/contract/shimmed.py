"""Which of the shims are for a CPU alone: where there are CUDA devices none of these is applied."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.contract.job import Shim

ON_A_CPU = frozenset(
    {
        *("cuda-calls", "cpu-mesh", "cpu-platform", "cpu-engine", "cpu-random-state", "cpu-scaler", "numbered-cpu"),
        *("no-device-memory", "process-group", "sdpa-attention", "autocast-log-softmax", "triton-interpreter"),
        *("fsdp-on-a-cpu", "devices-of-a-node", "fsdp1-sync-on-a-cpu", "engine-joined", "fp16-on-a-cpu"),
        "reference-not-pinned",
        *("gathers-are-waited-for", "without-shm-op", "torch-adam", "dataset-in-process", "loader-in-process"),
    }
)
"""What makes a release run where it has no device of its own, or what would be compiled or started for minutes."""
ANYWHERE = frozenset(
    {
        *("step-without-autograd", "relink-moments", "labels-told", "fp32"),
        *("fixed-rollouts", "seeded-shuffle", "actor-in-rank", "stub-ray", "stub-vllm", "stub-pil"),
        *("stub-flash-attn", "stub-torchaudio", "stub-qwen-vl-utils"),
    }
)
"""What a release needs on every device, or the recorder does."""


def misplaced(shims: Sequence[Shim], device: str) -> str | None:
    """Why these must not be applied on that device, in one line; None if they may."""
    wrong = sorted(shim.name for shim in shims if shim.name in ON_A_CPU) if device != "cpu" else []
    return f"{', '.join(wrong)} is for a CPU, and this cell runs on {device}" if wrong else None

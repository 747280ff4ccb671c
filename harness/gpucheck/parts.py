"""What `make gpu-check` runs: data only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KNOWN_BAD = "deepspeed==0.18.9"
"""With the optimizer offloaded, micro-batches between the first and the last are lost."""
CAUSE = "dropped-micro-batches"

MINUTES = 8.0
"""For all of it."""

FUSED = str(Path(__file__).with_name("fused.toml"))

Name = Literal["torch", "ddp", "fsdp2", "deepspeed", "trl", "known bad", "own Adam"]


@dataclass(frozen=True)
class Part:
    """Cells of one framework."""

    name: Name
    framework: str
    scenarios: tuple[str, ...]
    seconds: float
    """For all of them, on a GPU; the rest of the time is for the other parts."""
    cause: str | None = None
    """What has to be found; None where everything has to be right."""


PARTS = (
    Part("torch", "torch", ("sft-ragged", "sft-ragged-bf16", "sft-ragged-batch2"), 60),
    Part("ddp", "ddp", ("sft-ragged", "sft-ragged-bf16", FUSED), 45),
    Part("fsdp2", "fsdp2", ("sft-ragged-fsdp", "sft-ragged-bf16"), 45),
    Part(
        "deepspeed",
        "deepspeed",
        (
            *("sft-ragged", "sft-ragged-bf16", "sft-ragged-zero2", "sft-ragged-zero2-bf16"),
            *("sft-ragged-zero3", "sft-ragged-zero2-offload"),
        ),
        100,
    ),
    Part("trl", "trl", ("sft-ragged", "sft-ragged-bf16", "sft-ragged-zero2"), 90),
    Part("known bad", KNOWN_BAD, ("sft-ragged-zero2-offload",), 45, CAUSE),
)
LAST = Part("own Adam", "deepspeed", (FUSED,), 90)
"""DeepSpeed's own kernels, which are compiled for a minute; with what time is left."""


@dataclass(frozen=True)
class Trained:
    """The training that is recorded: a decoder made from a seed, under FSDP2 in bfloat16."""

    options: tuple[str, ...] = ()
    """Of `harness.trial.fsdp2`; none: 1.3 billion parameters."""
    seconds: float = 75.0


BILLION = Trained()
SMALL = Trained(("--width", "64", "--layers", "2", "--vocabulary", "512", "--tokens", "64"), 180.0)
"""What a CPU trains instead, to show that the way there is whole."""

SLOWER = 3.0
"""A CPU gets this many times as long for a part."""

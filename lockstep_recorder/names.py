"""How the files of a recording are called. No torch is needed to know that."""

from __future__ import annotations

SCHEMA = 1
HEADER = "recording.json"
END = "end.json"
"""Written last: the digest of every file."""
RECORDER = "recorder"
"""Folder of a recorded command that the recorder itself lies in: what entered the processes can be read there."""
EXCHANGE = "exchange"
"""Folder of what ranks must know of each other while they run."""


def lines_file(rank: int) -> str:
    """One line for each watched optimizer step of this rank."""
    return f"steps-r{rank:02d}.jsonl"


def tensors_file(step: int, rank: int) -> str:
    """What a watched step has left on a rank."""
    return f"tensors/step-{step:06d}-r{rank:02d}.safetensors"

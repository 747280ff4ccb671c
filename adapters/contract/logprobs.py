"""What `lockstep mismatch` asks of an environment, and how it answers: a safetensors file of log-probabilities."""

from __future__ import annotations

CHOSEN = "chosen"
"""Of a way, float64 [rows, length - 1]: the log-probability of every token but the first of its row, in nats."""
EVERY = "every"
"""Of a way that has logits to look at, float32 [rows, length - 1, vocabulary]: those of all tokens in its place."""


def tensor(way: str, part: str) -> str:
    """The name of a tensor in the file."""
    return f"{way}/{part}"

"""A trace: a folder of files whose names and schema version stand here, so that both sides read one definition."""

from __future__ import annotations

TRACE_SCHEMA = 2
OLDEST_SCHEMA = 1
"""The fields of its scenario stand side by side."""

HEADER = "header.json"
END = "end.json"
CRASH = "crash.json"
INTENT = "intent.json"
"""What the steps should have been, where a trace says it (`harness.intent.file`)."""

IGNORED_LABEL = -100

TRAINED = "trained"
"""Folder of what is kept of a whole training, beside the trace of its first steps and no part of that."""
TRAINED_STEPS = f"{TRAINED}/steps.jsonl"
"""One line for each of its optimizer steps, by rank 0: what the framework reported, as in `steps_file`, and as `logged`
the loss that it logs."""
TRAINED_PARAMETERS = f"{TRAINED}/parameters.safetensors"
"""The parameters after its last step, unsharded, by rank 0, under their own names."""


def steps_file(rank: int) -> str:
    """One line per optimizer step: loss, grad_norm and learning_rate as the framework reported them."""
    return f"steps-r{rank:02d}.jsonl"


def batches_file(rank: int) -> str:
    """One line per micro-batch: what the model received."""
    return f"batches-r{rank:02d}.jsonl"


def memory_file(rank: int) -> str:
    """One line per optimizer step: bytes of memory at most. `allocated` and `reserved` are of the CUDA device since the
    step before, null elsewhere; `resident` is the machine's since the process began. What the recorder reads counts."""
    return f"memory-r{rank:02d}.jsonl"


def done_file(rank: int) -> str:
    """In the folder for temporary files of the cell's processes: exists once a rank has run to its end."""
    return f"done-r{rank:02d}"


def tensors_file(step: int, rank: int = 0) -> str:
    """State after `step` optimizer steps (0: before the first).

    Rank 0 holds `param/NAME` and what `STATE` says of the optimizer, such as `exp_avg/NAME` and `exp_avg_sq/NAME`,
    unsharded; other ranks `param/NAME` only.
    """
    return f"tensors/step-{step:04d}.safetensors" if rank == 0 else f"tensors/step-{step:04d}-r{rank:02d}.safetensors"


def hidden_file(step: int, rank: int = 0) -> str:
    """What the model's output head was given in optimizer step `step` (from 0), as far as it could be told.

    `hidden/MMMM` is that of micro-batch MMMM: [positions, hidden size], in the framework's own dtype; a position for
    every token that is no padding and has another one behind it in its row, row by row.
    """
    return f"tensors/hidden-{step:04d}-r{rank:02d}.safetensors"


def embedded_file(step: int, rank: int = 0) -> str:
    """What the model's first layer was given of the embedding in optimizer step `step` (from 0), where noise is asked
    for, or where one token's is not everywhere the same.

    `embedded/MMMM` is that of micro-batch MMMM: [tokens, hidden size], in the framework's own dtype; every token that
    is no padding, row by row. `scale`: float64 [1], what the embedding itself multiplies its rows by.
    """
    return f"tensors/embedded-{step:04d}-r{rank:02d}.safetensors"


def encode_float(value: float | None) -> float | str | None:
    """A float for JSON: unrounded, non-finite ones as the strings NaN, Infinity and -Infinity."""
    if value is None:
        return None
    value = float(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value

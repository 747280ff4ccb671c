"""What is kept of a whole training beside the trace of its first steps."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from adapters import contract
from adapters.contract import Model
from harness.traces import tensor_file
from harness.traces.text_files import (
    MAX_STEP_LINE,
    Float,
    Reported,
    UnreadableTrace,
    bad_line,
    one_line,
    read_bytes,
    read_lines,
)
from scenarios import weights


class TrainedStep(Reported):
    """One optimizer step as the framework told it."""

    logged: Float
    """The loss that it logs."""


def steps(folder: Path, count: int) -> tuple[TrainedStep, ...]:
    """What was reported of each of so many steps. Raises UnreadableTrace for fewer, or more."""
    name = contract.TRAINED_STEPS
    lines = tuple(read_lines(folder, name, TrainedStep, MAX_STEP_LINE * count))
    if (odd := next((i for i, line in enumerate(lines) if line.step != i), None)) is not None:
        raise bad_line(folder, name, odd + 1, f"step is {lines[odd].step}, expected {odd}")
    if len(lines) != count:
        raise UnreadableTrace(f"{folder / name} has {len(lines)} steps, expected {count}; train again")
    return lines


def parameters(folder: Path, model: Model) -> dict[str, Tensor]:
    """Those after the last step. Raises UnreadableTrace."""
    name, shapes = contract.TRAINED_PARAMETERS, weights.shapes(model)
    content = read_bytes(folder, name, tensor_file.limit(shapes))
    try:
        return tensor_file.load(content, [shapes])
    except tensor_file.BadTensors as error:
        raise UnreadableTrace(f"{folder / name} {one_line(error)}; train again") from None

"""Reading a trace. It may come from elsewhere: nothing is unpickled, no name in it followed, and sizes are bounded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from adapters import contract
from adapters.contract import Scenario
from harness.traces.text_files import (
    MAX_TEXT,
    Header,
    MicroBatch,
    Reported,
    UnreadableTrace,
    bad_line,
    header,
    one_line,
    read_bytes,
    read_json,
    read_lines,
    reported,
)
from scenarios import weights

MAX_TENSORS = 8 * 2**30
MAX_STEPS = 100_000
MAX_HEADER = 2**20  # of a safetensors file, and whatever else stands beside the numbers
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class IncompleteTrace(Exception):
    """A trace without `end.json`: the run did not end by itself. The message says why, as far as the trace knows."""


@dataclass(frozen=True)
class Trace:
    """A whole trace; tensors are read when asked for."""

    folder: Path
    header: Header
    scenario: Scenario
    reported: tuple[Reported, ...]
    """Rank 0's, step by step."""
    batches: tuple[MicroBatch, ...]
    """All ranks, ordered by step, micro-batch, rank."""
    steps: int
    _read: dict[str, dict[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def tensors(self, step: int, rank: int = 0) -> dict[str, Tensor]:
        """State after `step` optimizer steps (see `contract.tensors_file`). Raises UnreadableTrace."""
        name = contract.tensors_file(step, rank)
        if name in self._read:
            return self._read[name]
        try:
            tensors = load(read_bytes(self.folder, name, _tensors_limit(self.scenario)))
        # KeyError: a dtype that safetensors knows and its torch half does not. RuntimeError: a size beyond torch's.
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise UnreadableTrace(
                f"{self.folder / name} is not a safetensors file ({one_line(error)}); record it again"
            ) from None
        if odd := next((n for n, t in sorted(tensors.items()) if t.dtype not in DTYPES), None):
            raise UnreadableTrace(
                f"{self.folder / name}: {one_line(odd)} holds {tensors[odd].dtype}, not floats; record it again"
            )
        if what := _lacking(tensors, self.scenario, moments=rank == 0 and step > 0):
            raise UnreadableTrace(f"{self.folder / name} (state after step {step}) has no {what}; record it again")
        self._read[name] = tensors
        return tensors

    def state(self, step: int, kind: str, rank: int = 0) -> dict[str, Tensor]:
        """`param`, `exp_avg` or `exp_avg_sq` after `step` steps, by parameter name; empty if not recorded."""
        prefix = f"{kind}/"
        return {k[len(prefix) :]: v for k, v in self.tensors(step, rank).items() if k.startswith(prefix)}


def _tensors_limit(scenario: Scenario) -> int:
    """Bytes that a file of tensors may have: parameters and both moments in float64, twice over."""
    numbers = sum(math.prod(shape) for shape in weights.shapes(scenario.model).values())
    return min(MAX_TENSORS, MAX_HEADER + 2 * 3 * 8 * numbers)


def _lacking(tensors: dict[str, Tensor], scenario: Scenario, moments: bool) -> str | None:
    """The first tensor of the whole model that is not there, or has another shape."""
    kinds = ("param", "exp_avg", "exp_avg_sq") if moments else ("param",)
    for name, shape in weights.shapes(scenario.model).items():
        for key in (f"{kind}/{name}" for kind in kinds):
            if key not in tensors or tuple(tensors[key].shape) != shape:
                return f"{key} of shape {list(shape)}"
    return None


def _batches(folder: Path, scenario: Scenario, rank: int) -> Iterator[MicroBatch]:
    name, order = contract.batches_file(rank), (0, -1)  # the step and micro-batch before
    for number, batch in enumerate(read_lines(folder, name, MicroBatch), 1):
        what = _wrong_batch(batch, scenario, rank)
        step, micro_batch = batch.step, batch.micro_batch
        # A line lost or repeated leaves a gap in the count of micro-batches, which starts anew with every step.
        counted = micro_batch == order[1] + 1 if step == order[0] else step > order[0] and micro_batch == 0
        if what is None and not counted:
            what = f"step {step}, micro-batch {micro_batch} follows step {order[0]}, micro-batch {order[1]}"
        if what is not None:
            raise bad_line(folder, name, number, what)
        order = step, micro_batch
        yield batch


def _wrong_batch(batch: MicroBatch, scenario: Scenario, rank: int) -> str | None:
    """Why a model of this scenario cannot have received such a micro-batch, if it cannot."""
    if batch.rank != rank:
        return f"rank is {batch.rank}, expected {rank}"
    shape = [len(sequence) for sequence in batch.input_ids]
    if not shape or len(set(shape)) != 1 or not shape[0]:
        return f"input_ids has sequences of {sorted(set(shape))} tokens, expected one length for all"
    for field_name in ("loss_mask", "position_ids", "attention_start"):
        values = getattr(batch, field_name)
        if field_name == "position_ids" and values is not None and len(values) == 1:
            values = values * len(shape)
        if values is not None and [len(sequence) for sequence in values] != shape:
            return f"{field_name} has another shape than input_ids"
    limits = {
        "input_ids": (0, scenario.model.vocab_size - 1),
        "loss_mask": (0, 1),
        "attention_start": (-2, shape[0] - 1),
        "position_ids": (-(2**31), 2**31 - 1),
    }
    for field_name, (low, high) in limits.items():
        for sequence in getattr(batch, field_name) or ():
            if outside := next((v for v in sequence if not low <= v <= high), None):
                return f"{field_name} has {outside}, expected {low} to {high}"
    return None


def _expected_files(scenario: Scenario, steps: int) -> Iterator[tuple[str, int]]:
    """Name and largest size; one after the other, as a false count of steps may be large."""
    yield contract.HEADER, MAX_TEXT
    for rank in range(scenario.ranks):
        yield contract.steps_file(rank), MAX_TEXT
        yield contract.batches_file(rank), MAX_TEXT
    limit = _tensors_limit(scenario)
    for step in range(steps + 1):
        for rank in range(scenario.ranks):
            yield contract.tensors_file(step, rank), limit


def _verify(folder: Path, end: dict[str, Any], scenario: Scenario, steps: int) -> None:
    sums = end.get("files")
    if not isinstance(sums, dict):
        raise UnreadableTrace(f"{folder / contract.END} lists no files; record it again")
    for name, limit in _expected_files(scenario, steps):
        found = hashlib.sha256(read_bytes(folder, name, limit)).hexdigest()
        if sums.get(name) != found:
            raise UnreadableTrace(
                f"{folder / name} was changed after it was written (its checksum differs); record it again"
            )


def _crash_reason(folder: Path) -> str:
    try:
        return one_line(read_json(folder, contract.CRASH).get("reason", "no reason recorded"))
    except UnreadableTrace:
        return "no reason recorded; see its log-r*.txt"


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def read(folder: Path) -> Trace:
    """Read and verify a trace.

    Raises IncompleteTrace if the run did not end by itself, UnreadableTrace for whatever cannot be trusted.
    """
    parsed, scenario = header(folder)
    if not _there(folder / contract.END):
        raise IncompleteTrace(f"the run did not end by itself: {_crash_reason(folder)}")
    end = read_json(folder, contract.END)
    steps = end.get("steps")
    if type(steps) is not int or not 0 <= steps <= MAX_STEPS:
        raise UnreadableTrace(f"{folder / contract.END} says {one_line(repr(steps))} steps; record it again")
    _verify(folder, end, scenario, steps)
    batches = [b for r in range(scenario.ranks) for b in _batches(folder, scenario, r)]
    batches.sort(key=lambda b: (b.step, b.micro_batch, b.rank))
    return Trace(folder, parsed, scenario, reported(folder), tuple(batches), steps)


def non_finite(tensors: dict[str, Tensor]) -> str | None:
    """Name of the first tensor that holds a NaN or an infinity."""
    return next((name for name, t in sorted(tensors.items()) if not bool(torch.isfinite(t).all())), None)

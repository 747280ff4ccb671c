"""Reading a trace. It may come from elsewhere: nothing is unpickled, no name in it followed, and sizes are bounded."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters import contract
from adapters.contract import STATE, Model, Scenario
from harness import files
from harness.traces import tensor_file
from harness.traces.text_files import (
    MAX_JSON,
    MAX_LINES,
    MAX_STEP_LINE,
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
    told,
)
from scenarios import weights
from scenarios.architectures.stacked import held

MAX_TRACE = 2**30
"""Bytes of all files of a trace together. Those of the scenarios have ten million."""
BYTES_A_TOKEN = 128
"""Room in a file of batches for all that is recorded of one token: four numbers. They take a dozen."""

MAX_HIDDEN = 2**28
"""Bytes of a file of hidden states. Those of the scenarios have twenty thousand."""

PADDING = -1
"""`attention_start` of a token that is none."""

_OWN = re.compile(r"intent\.json|(steps|batches)-r\d+\.jsonl|tensors/.*\.safetensors")
"""Names that a trace's own files have. Beside them lie logs and what the judge recovered, which are no part of it."""


class IncompleteTrace(Exception):
    """A trace without `end.json`: the run did not end by itself. The message says why, as far as the trace knows."""


@dataclass(frozen=True)
class Trace:
    """A whole trace; tensors are read when asked for."""

    folder: Path
    header: Header
    scenario: Scenario
    reported: tuple[tuple[Reported, ...], ...]
    """Rank by rank, step by step."""
    batches: tuple[MicroBatch, ...]
    """All ranks, ordered by step, micro-batch, rank."""
    steps: int
    files: frozenset[str]
    """Names of all files that are part of it."""
    _read: dict[str, dict[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def tensors(self, step: int, rank: int = 0) -> dict[str, Tensor]:
        """State after `step` optimizer steps: the tensors that a trace holds, and no others, by the names of the
        checkpoint whatever the model calls them. Raises UnreadableTrace."""
        name = contract.tensors_file(step, rank)
        return self._load(name, _layouts(self.scenario, step, rank), f"state after step {step}")

    def hidden(self, step: int, rank: int = 0) -> dict[int, Tensor] | None:
        """What the output head was given in `step`, by micro-batch: [positions, hidden size], in the dtype that it was
        recorded in; see `contract.hidden_file`. None where it was not recorded. Raises UnreadableTrace."""
        name = contract.hidden_file(step, rank)
        if name not in self.files:
            return None
        mine = [b for b in self.batches if b.step == step and b.rank == rank]
        width = self.scenario.model.hidden_size
        wanted = {f"hidden/{b.micro_batch:04d}": (len(predicting(b)), width) for b in mine}
        found = self._load(name, [wanted], f"hidden states of step {step}")
        return {b.micro_batch: found[f"hidden/{b.micro_batch:04d}"] for b in mine}

    def embedded(self, step: int, rank: int = 0) -> tuple[dict[int, Tensor], float] | None:
        """What the first layer was given of the embedding in `step`, by micro-batch: [tokens, hidden size], and what
        the embedding multiplies its rows by; see `contract.embedded_file`. None where it was not recorded. Raises
        UnreadableTrace."""
        name = contract.embedded_file(step, rank)
        if name not in self.files:
            return None
        mine = {f"embedded/{b.micro_batch:04d}": b for b in self.batches if b.step == step and b.rank == rank}
        width = self.scenario.model.hidden_size
        wanted = {key: (sum(s != PADDING for row in b.attention_start for s in row), width) for key, b in mine.items()}
        found = self._load(name, [{**wanted, "scale": (1,)}], f"embedded tokens of step {step}")
        scale = float(found["scale"])
        if not 0.0 < scale < math.inf:
            raise UnreadableTrace(f"{self.folder / name} has an embedding scaled by {scale}; record it again")
        return {b.micro_batch: found[key] for key, b in mine.items()}, scale

    def _load(self, name: str, layouts: Sequence[tensor_file.Names], what: str) -> dict[str, Tensor]:
        if name not in self._read:
            content = read_bytes(self.folder, name, max(map(tensor_file.limit, layouts)))
            try:
                self._read[name] = _apart(tensor_file.load(content, layouts), self.scenario.model)
            except tensor_file.BadTensors as error:
                raise UnreadableTrace(f"{self.folder / name} ({what}) {one_line(error)}; record it again") from None
        return self._read[name]

    def state(self, step: int, kind: str, rank: int = 0) -> dict[str, Tensor]:
        """`param`, or what `STATE` has of the optimizer, after `step` steps, by parameter name; empty if unrecorded."""
        prefix = f"{kind}/"
        return {k[len(prefix) :]: v for k, v in self.tensors(step, rank).items() if k.startswith(prefix)}


def _tensors(scenario: Scenario, step: int, rank: int) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every tensor in a file. Moments are rank 0's alone, and none before the first step."""
    return _of_all_kinds(weights.shapes(scenario.model), scenario, step, rank)


def _of_all_kinds(shapes: tensor_file.Names, scenario: Scenario, step: int, rank: int) -> Mapping[str, tuple[int, ...]]:
    """Moments only of what is trained."""
    model, moments = scenario.model, STATE[scenario.optimizer.kind] if rank == 0 and step > 0 else ()
    return {f"param/{name}": shape for name, shape in shapes.items()} | {
        f"{kind}/{name}": shape for kind in moments for name, shape in shapes.items() if model.trains(name)
    }


def _layouts(scenario: Scenario, step: int, rank: int) -> list[tensor_file.Names]:
    """The ways in which a file may hold the tensors: as the checkpoint does, or stacked as some releases hold them."""
    shapes, stacked = weights.shapes(scenario.model), weights.stacked(scenario.model)
    ways = [shapes, held(shapes, stacked)] if stacked else [shapes]
    return [_of_all_kinds(way, scenario, step, rank) for way in ways]


def _apart(tensors: dict[str, Tensor], model: Model) -> dict[str, Tensor]:
    """What is stacked, taken apart: each of its parts by the name that it has in the checkpoint, to the bit."""
    shapes, stacked = weights.shapes(model), weights.stacked(model)
    result: dict[str, Tensor] = {}
    for full, tensor in tensors.items():
        kind, _, name = full.partition("/")
        if name not in stacked:
            result[full] = tensor
            continue
        parts = stacked[name].parts
        each = tensor.reshape(len(parts), *shapes[parts[0]]).unbind()
        result |= {f"{kind}/{part}": one for part, one in zip(parts, each, strict=True)}
    return result


def predicting(batch: MicroBatch) -> list[tuple[int, int]]:
    """Sequence and position of every token that is no padding and has another one behind it: where hidden states are
    recorded, in their order."""
    return [
        (i, j)
        for i, starts in enumerate(batch.attention_start)
        for j, start in enumerate(starts[:-1])
        if start != PADDING
    ]


def _hidden_limit(scenario: Scenario) -> int:
    """Bytes that a file of hidden states may have, should one rank have received all rows, each by itself, twice."""
    rows, model = 2 * scenario.rows_per_step, scenario.model
    return min(MAX_HIDDEN, tensor_file.limit({"": (rows, model.max_positions, model.hidden_size)}) + 512 * rows)


def _lines_limit(scenario: Scenario) -> int:
    """Bytes that a file of batches may have, should one rank have received all of them, at their longest, twice."""
    tokens = scenario.window.steps * scenario.window.sequences_per_step * scenario.model.max_positions
    return min(MAX_LINES, 2**16 + BYTES_A_TOKEN * tokens)


def _batches(folder: Path, scenario: Scenario, rank: int, steps: int) -> Iterator[MicroBatch]:
    name, order = contract.batches_file(rank), (0, -1)  # the step and micro-batch before
    for number, batch in enumerate(read_lines(folder, name, MicroBatch, _lines_limit(scenario)), 1):
        what = _wrong_batch(batch, scenario, rank)
        step, micro_batch = batch.step, batch.micro_batch
        # A line lost or repeated leaves a gap in the count of micro-batches, which starts anew with every step.
        counted = micro_batch == order[1] + 1 if step == order[0] else step > order[0] and micro_batch == 0
        if what is None and not counted:
            what = f"step {step}, micro-batch {micro_batch} follows step {order[0]}, micro-batch {order[1]}"
        if what is None and step >= steps:
            what = f"step {step} is after the last one: {steps} were made"
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
            if (outside := next((v for v in sequence if not low <= v <= high), None)) is not None:
                return f"{field_name} has {outside}, expected {low} to {high}"
    return None


def _told_alike(folder: Path, batches: list[MicroBatch]) -> None:
    """A framework hands marks or positions to its models, or it does not. Raises UnreadableTrace for a trace that
    leaves out some: nothing could be held against those."""
    for name in ("loss_mask", "position_ids"):
        without = [b for b in batches if getattr(b, name) is None]
        if without and len(without) < len(batches):
            b = without[0]
            raise UnreadableTrace(
                f"{folder / contract.batches_file(b.rank)}: step {b.step}, micro-batch {b.micro_batch} has no {name},"
                " as others have; it was edited: record it again"
            )


def _reported(folder: Path, scenario: Scenario, rank: int, steps: int) -> tuple[Reported, ...]:
    """A line for every step. Raises UnreadableTrace."""
    lines, own = reported(folder, scenario, rank), scenario.window.steps_of(rank, steps)
    if len(lines) != own:
        raise UnreadableTrace(
            f"{folder / contract.steps_file(rank)} has {len(lines)} lines, expected one for each of {own} steps;"
            " it was truncated or edited: record it again"
        )
    return lines


# ---- the seal


def _sealed(scenario: Scenario, steps: int) -> Iterator[tuple[str, int]]:
    """Name and largest size of every file that a trace must hold."""
    yield contract.HEADER, MAX_JSON
    for rank in range(scenario.window.ranks):
        yield contract.steps_file(rank), min(MAX_LINES, MAX_STEP_LINE * scenario.window.steps)
        yield contract.batches_file(rank), _lines_limit(scenario)
    for rank in range(scenario.window.ranks):
        for step in range(scenario.window.steps_of(rank, steps) + 1):
            yield contract.tensors_file(step, rank), tensor_file.limit(_tensors(scenario, step, rank))


def _may_be_sealed(scenario: Scenario, steps: int) -> Iterator[tuple[str, int]]:
    """Name and largest size of every file that a trace may hold or not: what was wanted, and hidden states."""
    yield contract.INTENT, MAX_JSON
    for rank in range(scenario.window.ranks):
        yield contract.memory_file(rank), MAX_STEP_LINE * scenario.window.steps
        for step in range(scenario.window.steps_of(rank, steps)):
            yield contract.hidden_file(step, rank), _hidden_limit(scenario)
            yield contract.embedded_file(step, rank), _hidden_limit(scenario)


def _seal(folder: Path, scenario: Scenario, schema: int) -> tuple[int, Mapping[str, Any]]:
    """Steps that were made, and the digest of every file. Raises UnreadableTrace and IncompleteTrace."""
    end = read_json(folder, contract.END)
    if odd := sorted(set(end) ^ {"schema", "steps", "files"}):
        raise UnreadableTrace(
            f"{folder / contract.END} has another key or lacks one: {one_line(odd[0])}; record it again"
        )
    if type(end["schema"]) is not int or end["schema"] != schema:
        raise UnreadableTrace(f"{folder / contract.END} is of another schema than the header; record it again")
    steps, sums = end["steps"], end["files"]
    if type(steps) is not int or steps < 0:
        raise UnreadableTrace(f"{folder / contract.END} says {one_line(repr(steps))} steps; record it again")
    if not isinstance(sums, dict):
        raise UnreadableTrace(f"{folder / contract.END} lists no files; record it again")
    if steps > scenario.window.steps:
        raise IncompleteTrace(
            f"{one_line(steps)} optimizer steps were made where the scenario has {scenario.window.steps}"
        )
    return steps, sums


def _verify(folder: Path, sums: Mapping[str, Any], scenario: Scenario, steps: int) -> None:
    """Every file is there and as it was written, and there is no other. Raises UnreadableTrace."""
    total, names = 0, set()
    more = (pair for pair in _may_be_sealed(scenario, steps) if pair[0] in sums)
    for name, limit in itertools.chain(_sealed(scenario, steps), more):
        names.add(name)
        with told(folder, name, limit), files.opened(folder / name, follow=False) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise files.TooLarge(limit)
            found = hashlib.file_digest(file, "sha256").hexdigest()
        total += size
        if total > MAX_TRACE:
            raise UnreadableTrace(f"{folder} has more than the {MAX_TRACE} bytes that are read; record it again")
        if sums.get(name) != found:
            raise UnreadableTrace(
                f"{folder / name} was changed after it was written (its checksum differs); record it again"
            )
    if odd := sorted((set(sums) | _lying(folder)) - names):
        raise UnreadableTrace(
            f"{folder / one_line(odd[0])} is no file of a trace of {scenario.window.ranks} ranks and {steps} steps;"
            " record it again"
        )


def _lying(folder: Path) -> set[str]:
    """What lies in the folder by a name that a trace's own file has."""
    places = (("", folder), ("tensors/", folder / "tensors"))
    names = (f"{at}{entry.name}" for at, place in places for entry in os.scandir(place))
    return {name for name in names if _OWN.fullmatch(name)}


def _crash_reason(folder: Path) -> str:
    try:
        return one_line(read_json(folder, contract.CRASH).get("reason", "no reason recorded"))
    except UnreadableTrace:
        return "no reason recorded; see its log-r*.txt"


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def read(folder: Path) -> Trace:
    """Read and verify a trace.

    Raises IncompleteTrace if the run did not end by itself or made too many steps, UnreadableTrace for whatever cannot
    be trusted.
    """
    parsed, scenario = header(folder)
    if not _there(folder / contract.END):
        raise IncompleteTrace(f"the run did not end by itself: {_crash_reason(folder)}")
    steps, sums = _seal(folder, scenario, parsed.schema_)
    _verify(folder, sums, scenario, steps)
    batches = [b for r in range(scenario.window.ranks) for b in _batches(folder, scenario, r, steps)]
    batches.sort(key=lambda b: (b.step, b.micro_batch, b.rank))
    _told_alike(folder, batches)
    lines = tuple(_reported(folder, scenario, rank, steps) for rank in range(scenario.window.ranks))
    trace = Trace(folder, parsed, scenario, lines, tuple(batches), steps, frozenset(sums))
    _check_hidden(trace)
    return trace


def _check_hidden(trace: Trace) -> None:
    """Raises UnreadableTrace for hidden states, or embedded tokens, of another shape than the batches'."""
    for step in range(trace.steps):
        for rank in range(trace.header.ranks):
            trace.hidden(step, rank)
            trace.embedded(step, rank)


def non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor that holds a NaN or an infinity."""
    return next((name for name, t in sorted(tensors.items()) if not bool(torch.isfinite(t).all())), None)

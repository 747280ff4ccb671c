"""Reading a trace. It may come from elsewhere: nothing is unpickled, no name in it followed, and sizes are bounded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from adapters import contract
from adapters.contract import Scenario

MAX_TEXT = 256 * 2**20
MAX_TENSORS = 8 * 2**30


class UnreadableTrace(Exception):
    """A trace that is missing, truncated, edited, or of a schema this release does not read; one line and a remedy."""


class IncompleteTrace(Exception):
    """A trace without `end.json`: the run did not end by itself. The message says why, as far as the trace knows."""


def _float(value: Any) -> Any:
    return float(value.replace("Infinity", "inf")) if value in ("NaN", "Infinity", "-Infinity") else value


Float = Annotated[float | None, BeforeValidator(_float)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Reported(_Line):
    """One optimizer step as the framework told it."""

    step: int
    loss: Float = None
    grad_norm: Float = None
    learning_rate: Float = None


class MicroBatch(_Line):
    """What the model received in one forward pass; all lists are [sequences][tokens]."""

    step: int
    rank: int
    micro_batch: int
    input_ids: list[list[int]]
    loss_mask: list[list[int]] | None = None
    position_ids: list[list[int]] | None = None
    attention_start: list[list[int]]
    """First token that each token may attend to; -1 for padding, -2 for a pattern that is not one causal run."""


class Header(_Line):
    schema_: int = 0
    framework: str
    version: str
    adapter: str
    fault: str | None = None
    scenario: dict[str, Any]
    scenario_hash: str
    ranks: int
    shims: list[dict[str, str]] = []
    packages: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    python: str = ""
    argv: list[str] = []
    started: str = ""


L = TypeVar("L", bound=_Line)


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
            self._read[name] = load(_bytes(self.folder, name, MAX_TENSORS))
            return self._read[name]
        except (SafetensorError, ValueError) as error:
            raise UnreadableTrace(
                f"{self.folder / name} is not a safetensors file ({error}); record it again"
            ) from None

    def state(self, step: int, kind: str, rank: int = 0) -> dict[str, Tensor]:
        """`param`, `exp_avg` or `exp_avg_sq` after `step` steps, by parameter name; empty if not recorded."""
        prefix = f"{kind}/"
        return {k[len(prefix) :]: v for k, v in self.tensors(step, rank).items() if k.startswith(prefix)}


def _bytes(folder: Path, name: str, limit: int) -> bytes:
    path = folder / name
    try:
        if path.is_symlink():
            raise UnreadableTrace(f"{path} is a symbolic link, which a trace never holds; copy the trace as files")
        if (size := path.stat().st_size) > limit:
            raise UnreadableTrace(f"{path} has {size} bytes, more than the {limit} that are read; it is not a trace's")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableTrace(f"{folder} has no {name}: not a trace, or a part is lost; record it again") from None
    except OSError as error:
        raise UnreadableTrace(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(folder, name, MAX_TEXT))
    except ValueError as error:
        raise UnreadableTrace(f"{folder / name} is not JSON ({error}); it was truncated: record it again") from None
    if not isinstance(value, dict):
        raise UnreadableTrace(f"{folder / name} holds no JSON object; record it again")
    return value


def _lines(folder: Path, name: str, kind: type[L]) -> Iterator[L]:
    for number, line in enumerate(_bytes(folder, name, MAX_TEXT).splitlines(), 1):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise UnreadableTrace(
                f"{folder / name} line {number}: {where}: {first['msg']}; it was truncated or edited: record it again"
            ) from None


def header(folder: Path) -> tuple[Header, Scenario]:
    """Header and scenario of a trace, whole or not. Raises UnreadableTrace."""
    data = _json(folder, contract.HEADER)
    schema = data.get("schema")
    if schema != contract.TRACE_SCHEMA:
        newer = isinstance(schema, int) and schema > contract.TRACE_SCHEMA
        remedy = "upgrade lockstep to read it" if newer else "record it again"
        raise UnreadableTrace(
            f"{folder} has trace schema {schema!r}, this release reads {contract.TRACE_SCHEMA}; {remedy}"
        )
    try:
        parsed = Header.model_validate({**data, "schema_": schema})
        scenario = contract.scenario_from_dict(parsed.scenario)
    except (ValidationError, ValueError) as error:
        raise UnreadableTrace(f"{folder / contract.HEADER}: {str(error).splitlines()[0]}; record it again") from None
    if scenario.hash != parsed.scenario_hash:
        raise UnreadableTrace(
            f"{folder / contract.HEADER}: the scenario does not match its hash: it was edited; record it again"
        )
    return parsed, scenario


def _expected_files(ranks: int, steps: int) -> list[str]:
    per_rank = [f for r in range(ranks) for f in (contract.steps_file(r), contract.batches_file(r))]
    tensors = [contract.tensors_file(s, r) for s in range(steps + 1) for r in range(ranks)]
    return [contract.HEADER, *per_rank, *tensors]


def _verify(folder: Path, end: dict[str, Any], ranks: int, steps: int) -> None:
    sums = end.get("files")
    if not isinstance(sums, dict):
        raise UnreadableTrace(f"{folder / contract.END} lists no files; record it again")
    for name in _expected_files(ranks, steps):
        found = hashlib.sha256(_bytes(folder, name, MAX_TENSORS)).hexdigest()
        if sums.get(name) != found:
            raise UnreadableTrace(
                f"{folder / name} was changed after it was written (its checksum differs); record it again"
            )


def _crash_reason(folder: Path) -> str:
    try:
        return str(_json(folder, contract.CRASH).get("reason", "no reason recorded"))
    except UnreadableTrace:
        return "no reason recorded; see its log-r*.txt"


def read(folder: Path) -> Trace:
    """Read and verify a trace.

    Raises IncompleteTrace if the run did not end by itself, UnreadableTrace for whatever cannot be trusted.
    """
    parsed, scenario = header(folder)
    if not (folder / contract.END).exists():
        raise IncompleteTrace(f"the run did not end by itself: {_crash_reason(folder)}")
    end = _json(folder, contract.END)
    steps = end.get("steps")
    if not isinstance(steps, int) or not 0 <= steps <= 100_000 or not 1 <= parsed.ranks <= 4096:
        raise UnreadableTrace(f"{folder / contract.END} says {steps!r} steps; record it again")
    _verify(folder, end, parsed.ranks, steps)
    batches = [b for r in range(parsed.ranks) for b in _lines(folder, contract.batches_file(r), MicroBatch)]
    batches.sort(key=lambda b: (b.step, b.micro_batch, b.rank))
    reported = tuple(_lines(folder, contract.steps_file(0), Reported))
    return Trace(folder, parsed, scenario, reported, tuple(batches), steps)


def non_finite(tensors: dict[str, Tensor]) -> str | None:
    """Name of the first tensor that holds a NaN or an infinity."""
    return next((name for name, t in sorted(tensors.items()) if not bool(torch.isfinite(t).all())), None)

"""A recording as data, which may come from elsewhere.

Digests come first, sizes are bounded, every number is checked, and no name in it is followed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from harness.traces import strict_json, tensor_file
from harness.traces.text_files import Line as Strict
from harness.traces.text_files import UnreadableTrace, first_fault, one_line, read_bytes
from lockstep_recorder.names import END, HEADER, SCHEMA, lines_file, tensors_file

MAX_TEXT = 64 * 2**20
"""Bytes of a text file."""
MAX_TENSORS = 2**30
"""Bytes of a file of tensors. A step of 4,096 tokens has 17 million."""
LARGEST = 1e30
"""Nothing that is trained holds a larger number, and its squares can be squared."""
MAX_RANKS = 1024
INTEGERS = frozenset({"token/kind", "token/text", "token/position", "token/pass", "token/target", "count"})
_NAME = re.compile(
    r"(?:before|after)/(?:matrix/(?:param|exp_avg|exp_avg_sq|grad)"
    r"|sample/(?:param|exp_avg|exp_avg_sq|count|squares|grad_squares))"
    r"|token/(?:delta|hidden|loss|length|kind|text|position|pass|target)"
)

T = TypeVar("T", bound=Strict)
Seal = Mapping[str, str] | None
"""Digests by file; None for a recording that is still written, and not by somebody else."""
Plain = Annotated[float, Field(ge=-1e30, le=1e30)]
Setting = bool | Plain | Annotated[list[bool | Plain], Field(max_length=10)]
"""Of a parameter group."""
Size = Annotated[int, Field(ge=0, le=2**40)]
Word = Annotated[str, Field(max_length=500)]


class Parameter(Strict):
    """One that is trained."""

    name: Word
    shape: Annotated[list[Size], Field(max_length=8)]
    group: Annotated[int, Field(ge=0)] | None


class Header(Strict):
    """What is trained by what, on what: said once, and by the recording itself."""

    schema_: int = Field(alias="schema")
    kind: str
    model: Word
    optimizer: Word
    parameters: Annotated[list[Parameter], Field(max_length=100_000)]
    frozen: Size
    dtypes: Annotated[list[Word], Field(max_length=20)]
    vocabulary: Annotated[int, Field(ge=1, le=2**31)]
    width: Annotated[int, Field(ge=1, le=2**31)]
    tied: bool
    norm: Word | None
    ranks: Annotated[int, Field(ge=1, le=MAX_RANKS)]
    packages: Annotated[dict[Word, Word], Field(max_length=100)]
    machine: dict[Word, Any]


class Scheduler(Strict):
    """A learning-rate scheduler before a step."""

    class_: Word = Field(alias="class")
    moves: Annotated[int, Field(ge=-1, le=10**9)]
    by_rank: bool
    """Whether it is meant to move once for every rank in a step."""


class Line(Strict):
    """What a rank told of a watched step."""

    step: Annotated[int, Field(ge=0, le=10**9)]
    groups: Annotated[list[dict[Word, Setting]], Field(max_length=10_000)]
    count: Annotated[int, Field(ge=0, le=10**9)] | None
    """Optimizer steps that Adam had counted before."""
    schedulers: Annotated[list[Scheduler], Field(max_length=100)]
    passes: Annotated[int, Field(ge=0, le=2**20)]
    """Forward passes of the rank."""
    texts: Annotated[list[list[Word]], Field(max_length=2**20)]
    unknown: Annotated[list[Word], Field(max_length=100)]
    seconds: Annotated[float, Field(ge=0)]
    shapes: Annotated[dict[Word, Annotated[list[Size], Field(max_length=2)]], Field(max_length=64)]
    asked: Word = ""
    """Name of the matrix whose gradient tells the weights."""
    layout: Word = "unknown"
    """Whether the rank keeps the `whole` matrix, or a `part` of it."""
    masters: Annotated[list[Word], Field(max_length=20)] = Field(default_factory=list)
    """Dtypes of what the optimizer steps."""
    moments: Annotated[list[Word], Field(max_length=20)] = Field(default_factory=list)
    """Dtypes of Adam's first moments."""
    all_squares: bool = True
    """Whether the sums of squares are of every trained parameter."""


@dataclass(frozen=True)
class OfRank:
    """A watched step on one rank."""

    line: Line
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Recording:
    """All of it."""

    header: Header
    steps: Mapping[int, tuple[OfRank, ...]]
    """By optimizer step, every rank's part in order."""
    ended: tuple[str, ...]
    """Why ranks recorded no more."""

    partial: tuple[int, ...] = ()
    """Steps that not all ranks have recorded."""

    def asked(self, number: int) -> str:
        """Whose gradient tells the weights in a step, in words."""
        name = self.steps[number][0].line.asked
        shape = next((p.shape for p in self.header.parameters if p.name == name), None)
        return "the head" if shape is None or shape == [self.header.vocabulary, self.header.width] else name


def is_recording(folder: Path) -> bool:
    """Whether a folder holds one, whole or not."""
    return (folder / HEADER).is_file()


def read(folder: Path) -> Recording:
    """Raises UnreadableTrace."""
    return _read(folder, _sealed(folder))


def read_under_way(folder: Path, step: int) -> Recording:
    """One step of a recording that this very training still writes, without a seal. Raises UnreadableTrace."""
    return _read(folder, None, step)


def _read(folder: Path, sealed: Seal, only: int | None = None) -> Recording:
    header = _parsed(folder, HEADER, Header, _bytes(folder, HEADER, sealed))
    if header.kind != "recording":
        raise UnreadableTrace(f"{folder / HEADER} is of no recording; give the --out folder of a `lockstep record`")
    if header.schema_ != SCHEMA:
        raise UnreadableTrace(f"{folder} is a recording of schema {header.schema_}, this release reads {SCHEMA}")
    found: dict[int, list[OfRank]] = {}
    ended: list[str] = []
    for rank in range(header.ranks):
        seen: set[int] = set()
        for line in _lines(folder, rank, sealed):
            if isinstance(line, str):
                ended.append(line)
            elif line.step in seen:
                raise UnreadableTrace(f"{folder / lines_file(rank)} has step {line.step} twice; record it again")
            elif only in (None, line.step):
                seen.add(line.step)
                found.setdefault(line.step, []).append(OfRank(line, _tensors(folder, line, rank, sealed)))
    partial = tuple(sorted(step for step, parts in found.items() if len(parts) < header.ranks))
    steps = {step: tuple(parts) for step, parts in sorted(found.items()) if len(parts) == header.ranks}
    return Recording(header, steps, tuple(dict.fromkeys(ended)), partial)


def _sealed(folder: Path) -> Seal:
    """Digest of every file that the seal names. Raises UnreadableTrace."""
    if not (folder / END).is_file():
        why = "a rank is still training, was killed, or wrote to another disk"
        raise UnreadableTrace(
            f"{folder} was not sealed: {why}; if nothing comes any more, run `lockstep seal {folder}`"
        )
    seal = strict(folder, END, read_bytes(folder, END, MAX_TEXT))
    files = seal.get("files") if isinstance(seal, dict) else None
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise UnreadableTrace(f"{folder / END} names no files; record it again")
    return files


def strict(folder: Path, name: str, content: bytes) -> Any:
    """JSON as a recording has it. Raises UnreadableTrace."""
    try:
        return strict_json.loads(content)
    except strict_json.BadJson as error:
        raise UnreadableTrace(f"{folder / name}: {one_line(error)}; it was edited: record it again") from None


def _bytes(folder: Path, name: str, sealed: Seal, limit: int = MAX_TEXT) -> bytes:
    content = read_bytes(folder, name, limit)
    if sealed is not None and sealed.get(name) != hashlib.sha256(content).hexdigest():
        raise UnreadableTrace(f"{folder / name} is not what was sealed: it was truncated or edited; record it again")
    return content


def _parsed(folder: Path, name: str, kind: type[T], content: bytes) -> T:
    try:
        return kind.model_validate(strict(folder, name, content))
    except ValidationError as error:
        raise UnreadableTrace(f"{folder / name}: {one_line(first_fault(error))}; record it again") from None


def _lines(folder: Path, rank: int, sealed: Seal) -> list[Line | str]:
    """A rank's lines; of one that says why it is the last, the reason."""
    name = lines_file(rank)
    if sealed is not None and name not in sealed:
        return []
    result: list[Line | str] = []
    for content in _bytes(folder, name, sealed).splitlines():
        data = strict(folder, name, content)
        if isinstance(data, dict) and "ended" in data:
            result.append(one_line(data["ended"]))
            continue
        try:
            result.append(Line.model_validate(data))
        except ValidationError as error:
            raise UnreadableTrace(f"{folder / name}: {one_line(first_fault(error))}; record it again") from None
    return result


def _tensors(folder: Path, line: Line, rank: int, sealed: Seal) -> Mapping[str, Tensor]:
    name = tensors_file(line.step, rank)
    if odd := next((n for n in line.shapes if not _NAME.fullmatch(n)), None):
        raise UnreadableTrace(f"{folder / name} has a tensor {one_line(odd)}, which no recording has; record it again")
    _shaped(folder, name, line)
    wanted = {n: tuple(shape) for n, shape in line.shapes.items()}
    if sum(8 * math.prod(shape) for shape in wanted.values()) > MAX_TENSORS:
        raise UnreadableTrace(f"{folder / name} has more than the {MAX_TENSORS} bytes that are read")
    integers = {n for n in wanted if n in INTEGERS or n.rpartition("/")[2] in INTEGERS}
    try:
        content = _bytes(folder, name, sealed, tensor_file.limit(wanted))
        return _finite(folder, name, tensor_file.load(content, [wanted], integers))
    except tensor_file.BadTensors as error:
        raise UnreadableTrace(f"{folder / name} {one_line(error)}; record it again") from None


MATRICES = re.compile(r"token/(?:delta|hidden)|(?:before|after)/matrix/\w+")


def _shaped(folder: Path, name: str, line: Line) -> None:
    """Every tensor has the axes that it has in each recording, and those that belong together have one length."""
    shapes = line.shapes
    for key, shape in shapes.items():
        axes = 2 if MATRICES.fullmatch(key) else 1
        if len(shape) != axes:
            raise UnreadableTrace(f"{folder / name}: {key} has {len(shape)} axes, not {axes}; record it again")
    matrix = {tuple(shape) for key, shape in shapes.items() if "/matrix/" in key}
    factors = [shapes[key][1] for key in ("token/delta", "token/hidden") if key in shapes]
    if len(matrix | ({tuple(factors)} if len(factors) > 1 else set())) > 1:
        raise UnreadableTrace(f"{folder / name}: its sketches are not of one size; record it again")


def _finite(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UnreadableTrace(f"{folder / name}: {key} holds a NaN or an infinity, so that nothing can be weighed")
        if tensor.numel() and float(tensor.abs().max()) > LARGEST:
            raise UnreadableTrace(f"{folder / name}: {key} holds a number above {LARGEST:g}; record it again")
        if key.endswith(("sample/exp_avg_sq", "sample/squares", "sample/grad_squares", "sample/count")) and bool(
            (tensor < 0).any()
        ):
            raise UnreadableTrace(f"{folder / name}: {key} holds a number below 0; record it again")
    return tensors

"""A safetensors file of a trace: exactly the tensors that it should hold, each float, and nothing beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from harness.traces import strict_json

LENGTH = 8
"""Bytes that say how long the header is, little-endian, before it."""
WIDEST = 8
"""Bytes of the widest number."""
HEADER_OF_A_TENSOR = 512
"""Bytes that the header may have for each tensor, and twice that for what else it says. They take some hundred."""
_ENTRY = {"dtype", "shape", "data_offsets"}
DTYPES = ("F64", "F32", "F16", "BF16")
INTEGERS = ("I64", "U8")

Names = Mapping[str, tuple[int, ...]]
"""Names of tensors, with their shapes."""


class BadTensors(ValueError):
    """What is no such file; the message says what is wrong, behind its name."""


def _header_limit(wanted: Names) -> int:
    return HEADER_OF_A_TENSOR * (len(wanted) + 2)


def limit(wanted: Names) -> int:
    """Bytes that a file of these tensors may have."""
    return LENGTH + _header_limit(wanted) + WIDEST * sum(math.prod(shape) for shape in wanted.values())


def load(content: bytes, layouts: Sequence[Names], integers: Collection[str] = ()) -> dict[str, Tensor]:
    """The tensors of a file that holds all of one of these layouts: the one of which it has most. All are floats but
    those named in `integers`. Raises BadTensors.

    The header is looked at before the library sees it, which makes a file of 180 MB of header into 5 GB.
    """
    try:
        entries = _entries(content, max(map(_header_limit, layouts)))
        _check(entries, max(layouts, key=lambda wanted: len(wanted.keys() & entries.keys())), integers)
        # In the order of their names: the library has another one each time, by which roundings would be drawn.
        return dict(sorted(load_safetensors(content).items()))
    # KeyError: a dtype that safetensors knows and its torch half does not. RuntimeError: a size beyond torch's.
    except (SafetensorError, KeyError, RuntimeError, strict_json.BadJson) as error:
        raise BadTensors(f"is not a safetensors file: {error}") from None


def _entries(content: bytes, most: int) -> dict[str, Any]:
    length = int.from_bytes(content[:LENGTH], "little")
    if len(content) < LENGTH or length > len(content) - LENGTH:
        raise BadTensors(f"is not a safetensors file: its header should have {length} bytes")
    if length > most:
        raise BadTensors(
            f"is not a safetensors file of a trace: its header has {length} bytes, at most {most} are read"
        )
    entries = strict_json.loads(content[LENGTH : LENGTH + length])
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise BadTensors("is not a safetensors file: its header is no table of tensors")
    entries.pop("__metadata__", None)  # what wrote it: "format": "pt"
    if odd := next((name for name, entry in entries.items() if entry.keys() != _ENTRY), None):
        raise BadTensors(f"is not a safetensors file: what its header says of {odd} is not {', '.join(sorted(_ENTRY))}")
    return entries


def _check(entries: Mapping[str, Mapping[str, Any]], wanted: Names, integers: Collection[str]) -> None:
    for name, shape in wanted.items():
        if name not in entries or entries[name].get("shape") != list(shape):
            raise BadTensors(f"has no {name} of shape {list(shape)}")
        kinds, told = (INTEGERS, "integers") if name in integers else (DTYPES, "floats")
        if (dtype := entries[name].get("dtype")) not in kinds:
            raise BadTensors(f"holds {dtype} in {name}, not {told}")
    if odd := next((name for name in entries if name not in wanted), None):
        raise BadTensors(f"holds {odd}, which is no tensor of its model at that step and rank")

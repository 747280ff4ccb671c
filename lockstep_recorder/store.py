"""The files of a recording. One is written whole under another name and renamed, or grows by whole lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8",
}  # fmt: skip


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    _whole(path, (json.dumps(content, indent=1) + "\n").encode())


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """In one write, so that a crash leaves no half of it; a full disk may."""
    with path.open("ab", buffering=0) as out:
        out.write(json.dumps(line).encode() + b"\n")


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """As safetensors: the header's length in 8 bytes, the header as JSON, the bytes of all tensors."""
    header, at, bodies = {}, 0, []
    for name, tensor in sorted(tensors.items()):
        body = tensor.detach().cpu().contiguous().numpy().tobytes()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(body)],
        }
        at += len(body)
        bodies.append(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    _whole(path, len(text).to_bytes(8, "little") + text + b"".join(bodies))


def _whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise

"""Ways to break a trace, with or without making its checksums right again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.contract import (
    END,
    HEADER,
    batches_file,
    embedded_file,
    hidden_file,
    scenario_from_dict,
    steps_file,
    tensors_file,
)
from adapters.inside.recorder import digests

Change = Callable[[Any], Any]


def reseal(folder: Path) -> None:
    """What an edit with a will would do: every checksum is right."""
    edit(folder / END, lambda end: end.update(files=digests(folder)))


def edit(path: Path, change: Change) -> None:
    """Change the JSON object in a file, in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def header(folder: Path, change: Change) -> None:
    edit(folder / HEADER, change)
    reseal(folder)


def scenario(folder: Path, change: Change) -> None:
    """With the scenario's hash made right too, where it is one at all."""

    def apply(head: dict[str, Any]) -> None:
        change(head["scenario"])
        with contextlib.suppress(ValueError):
            head["scenario_hash"] = scenario_from_dict(head["scenario"]).hash

    header(folder, apply)


def lines(folder: Path, name: str, change: Change) -> None:
    """Change the list of a file's lines, in place or by giving another list back."""
    path = folder / name
    content = [json.loads(line) for line in path.read_text().splitlines()]
    result = change(content)
    path.write_text("".join(json.dumps(line) + "\n" for line in (result if isinstance(result, list) else content)))
    reseal(folder)


def shorten(folder: Path, steps: int) -> None:
    """As if only the first `steps` optimizer steps had been made."""
    ranks = json.loads((folder / HEADER).read_text())["ranks"]
    for path in (folder / "tensors").iterdir():
        kind, number = path.name.split("-")[:2]
        if int(number[:4]) > steps - (kind == "hidden"):
            path.unlink()
    edit(folder / END, lambda end: end.update(steps=steps))
    for rank in range(ranks):
        for name in (steps_file(rank), batches_file(rank)):
            lines(folder, name, lambda every: [line for line in every if line["step"] < steps])


def batches(folder: Path, change: Change, rank: int = 0) -> None:
    """And without the hidden states, whose shapes may be others then; no trace must have them."""
    for path in (folder / "tensors").glob("hidden-*"):
        path.unlink()
    lines(folder, batches_file(rank), change)


def hidden(folder: Path, change: Callable[[dict[str, Tensor]], None], step: int = 0, rank: int = 0) -> None:
    _tensors(folder, folder / hidden_file(step, rank), change)


def embedded(folder: Path, change: Callable[[dict[str, Tensor]], None], step: int = 0, rank: int = 0) -> None:
    _tensors(folder, folder / embedded_file(step, rank), change)


def reported(folder: Path, change: Change, rank: int = 0) -> None:
    lines(folder, steps_file(rank), change)


def tensors(folder: Path, change: Callable[[dict[str, Tensor]], None], step: int = 1, rank: int = 0) -> None:
    _tensors(folder, folder / tensors_file(step, rank), change)


def _tensors(folder: Path, path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    content = load_file(path)
    change(content)
    save_file({name: t.contiguous() for name, t in content.items()}, path)
    reseal(folder)

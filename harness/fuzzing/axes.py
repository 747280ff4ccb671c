"""Which fields of a scenario are drawn and with which values, simplest first, and the plain scenario that has the first
of each.

A field of named values, or of yes and no, is drawn by itself; of numbers and of groups the values stand here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin

from adapters.contract import Scenario, hints
from harness.matrices.axes import FULL
from scenarios import files, matrices

Row = Mapping[str, Any]
"""Values by the dotted path of their field or group, as in a scenario's file; what is not there is as in the plain
scenario."""

NUMBERS: Mapping[str, Sequence[Any]] = {
    "window.ranks": (1, 2),
    "window.micro_batch_size": (1, 2, 3),
    "window.accumulation": (1, 2, 3, 4, 6),
    "window.steps": (1, 2, 3),
    "window.micro_batch_tokens": ("none", 96),
    "window.resume_after": (0, 1),
    "data.rows_per_sequence": (1, 2),
    "data.packed_length": ("none", 64),
    "data.epochs": (1, 2),
    "data.max_length": ("none", 12),
    "model.extra_rows": (0, 24),
    "model.lora": FULL["model.lora"],
    "model.neftune_alpha": (0.0, 5.0),
    "optimizer.momentum": (0.0, 0.9),
    "optimizer.beta1": FULL["optimizer.beta1"],
    "optimizer.beta2": FULL["optimizer.beta2"],
    "optimizer.eps": FULL["optimizer.eps"],
    "optimizer.weight_decay": FULL["optimizer.weight_decay"],
    "optimizer.max_grad_norm": FULL["optimizer.max_grad_norm"],
    "optimizer.schedule": FULL["optimizer.schedule"],
    "loss.label_smoothing": FULL["loss.label_smoothing"],
}
WINDOW = ("window.ranks", "window.micro_batch_size", "window.accumulation", "window.steps")
"""What every drawn scenario chooses anew."""

LEFT_OUT = frozenset({"device", "model.attention", "optimizer.fused"})
"""What is for a device: which kernels, and where."""
SLOW: Mapping[str, frozenset[str]] = {"model.compiled": frozenset({"aot_eager", "inductor"})}
"""Values that take a minute in each cell, in which sixty others are run: tracing, and a compiler of C++."""


@cache
def axes() -> Mapping[str, Sequence[Any]]:
    """Values by path: first the window, then group by group."""
    named = {path: values for path, values in _named(Scenario, "") if not _within(path, NUMBERS)}
    return {path: NUMBERS[path] for path in WINDOW} | named | {p: v for p, v in NUMBERS.items() if p not in WINDOW}


def _within(path: str, groups: Mapping[str, Any]) -> bool:
    return path in groups or any(path.startswith(f"{group}.") for group in groups)


def _named(kind: type, at: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """Fields of named values, and of yes and no, their default first."""
    types = hints(kind)
    for one in dataclasses.fields(kind):
        inner, path = types[one.name], f"{at}{one.name}"
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from _named(inner, f"{path}.")
        elif path not in LEFT_OUT and (inner is bool or get_origin(inner) is Literal):
            values = (False, True) if inner is bool else get_args(inner)
            others = [v for v in values if v != one.default and v not in SLOW.get(path, ())]
            if others:
                yield path, (one.default, *others)


def plain(path: str) -> Any:
    """The value of the plain scenario. Raises KeyError for a path that is not drawn."""
    return axes()[path][0]


def settings(row: Row) -> dict[str, Any]:
    """What differs from the plain scenario, in the order of the axes; what is drawn of none stands last."""
    order = {path: number for number, path in enumerate(axes())}
    told = {path: value for path, value in row.items() if path not in order or value != plain(path)}
    return dict(sorted(told.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def key(row: Row) -> str:
    """The same for rows of the same values."""
    return json.dumps(settings(row), sort_keys=True)


def name(row: Row) -> str:
    """Of a drawn scenario, by its values."""
    return f"fuzz-{hashlib.sha256(key(row).encode()).hexdigest()[:6]}"


def content(row: Row) -> dict[str, Any]:
    """What stands in a file of the scenario, but for its name."""
    values = {**{path: plain(path) for path in WINDOW}, **settings(row)}
    return {"responses": list(matrices.RESPONSES), **files.grouped(values)}


def made(row: Row, called: str | None = None) -> Scenario:
    """The scenario of these values, named by them or as it is called. Raises ValueError, in one line, for values that
    do not fit together."""
    return files.made(content(row), called or name(row))


def row_of(told: Mapping[str, Any]) -> Row:
    """The row of a file that `content` has made, or another one that says no more than values of fields.

    Raises ValueError, in one line, for what is no such file.
    """
    if told.get("responses") != matrices.RESPONSES or not {*told} <= {"name", "responses", *_groups()}:
        raise ValueError("it is no scenario of a corpus: those have no base, seed or rows of their own")
    found: dict[str, Any] = {}
    for group in _groups() & {*told}:
        _flatten(told[group], group, found)
    return settings(found)


def _groups() -> frozenset[str]:
    return frozenset(path.split(".")[0] for path in axes())


def _flatten(value: Any, path: str, into: dict[str, Any]) -> None:
    if path in axes() or not isinstance(value, dict):
        into[path] = value
        return
    for field, inner in value.items():
        _flatten(inner, f"{path}.{field}", into)

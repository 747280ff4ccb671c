"""A picture on a page, with what says the same in words and in numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness import printable


@dataclass(frozen=True)
class Numbers:
    """A table for who does not see the picture, or wants to copy from it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    wrong: Sequence[bool] = ()
    """For each row; empty where none is marked."""
    left_out: int = 0
    """Rows beyond those that a page holds."""


@dataclass(frozen=True)
class Figure:
    id: str
    chart: Literal["weights", "curves", "heat", "rule"]
    title: str
    sentence: str
    """What is to be seen on it."""
    data: Mapping[str, Any]
    numbers: Numbers
    height: float = 0.0
    """Of a weight map, in heights of a line."""
    across: int = 0
    """Columns of each part of a heat map."""
    legend: Sequence[Any] = field(default_factory=tuple)
    step: int | None = None
    """Of a weight map."""
    wrong: bool = False

    @property
    def drawn(self) -> dict[str, Any]:
        """What the page's script reads."""
        data = _printable(self.data)
        return {"id": self.id, "chart": self.chart, "data": data, "height": self.height, "across": self.across}


def _printable(value: Any) -> Any:
    """The same with every text printable: a chart shows names of tensors and of releases. Lists are of one kind."""
    if isinstance(value, _NUMBER):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_printable(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and value and not isinstance(value[0], _NUMBER):
        return [_printable(each) for each in value]
    return value


# First, and each text once: a chart has ten numbers for each text, and its few texts again and again.
_NUMBER = (float, int, type(None))
_text = functools.lru_cache(maxsize=4096)(printable.printable)


MOST_ROWS = 400
"""Of a table of numbers: a page stays a page."""


def numbers(heads: Sequence[str], rows: Sequence[Sequence[str]], wrong: Sequence[bool] = ()) -> Numbers:
    return Numbers(heads, rows[:MOST_ROWS], wrong[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


def finite(value: float | None) -> bool:
    """Whether a chart can show it."""
    return value is not None and math.isfinite(value)


def told(value: float | None, digits: int = 6) -> str:
    """A number for reading."""
    return "-" if value is None else f"{value:.{digits}g}"

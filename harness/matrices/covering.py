"""A covering array by allpairspy: few scenarios that hold every pair of values that a framework can express."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from allpairspy import AllPairs

from harness.matrices.axes import Axes

Row = Mapping[str, Any]
"""Values by path."""
Refuse = Callable[[Row], str | None]
"""Why a framework, or the scenario itself, cannot have these values; None if it can."""
Pair = tuple[tuple[str, int], tuple[str, int]]
"""Two axes, and the place of a value on each."""


@dataclass(frozen=True)
class Covering:
    """Rows of one framework, and what they do not hold."""

    rows: tuple[Row, ...]
    pairs: int
    """That the framework can express."""
    missed: int
    """Of these, in no row."""
    refused: Mapping[str, str]
    """`path=value` that it cannot express at all, not even beside another value, and why."""
    refused_pairs: int
    """Of values that it can express, each by itself or beside another one that it needs."""


def cover(axes: Axes, refuse: Refuse, rare: AbstractSet[str] = frozenset()) -> Covering:
    """The same on every run: allpairspy draws nothing.

    rare: axes on which a row leaves its default only where a pair needs it.
    """
    alone = ((p, v) for p, vs in axes.items() for v in vs if _helped({p: v}, axes, refuse) is None)
    refused = {f"{p}={v!r}": refuse({p: v}) or "" for p, v in alone}
    able = {p: [v for v in vs if f"{p}={v!r}" not in refused] for p, vs in axes.items()}
    fixed = {path: values[0] for path, values in able.items() if len(values) == 1}
    free = {path: values for path, values in able.items() if len(values) > 1}
    rows: list[Row] = [{**fixed, **row} for row in _rows(free, refuse)]
    every = _pairs(able)
    possible = [pair for pair in every if _helped(_of(pair, able), able, refuse) is not None]
    for pair in possible:
        if not any(_holds(row, pair, able) for row in rows):
            rows += _row_for(pair, able, refuse)
    for path in sorted(rare & able.keys()):
        rows = _seldom(path, rows, possible, able, refuse)
    held = [pair for pair in possible if any(_holds(row, pair, able) for row in rows)]
    return Covering(tuple(rows), len(possible), len(possible) - len(held), refused, len(every) - len(possible))


def _rows(free: Axes, refuse: Refuse) -> list[dict[str, Any]]:
    """Values are handed over by their places, since a value may be a dictionary."""
    paths = list(free)

    def valid(places: Sequence[int]) -> bool:
        return refuse({path: free[path][at] for path, at in zip(paths, places, strict=False)}) is None

    every = AllPairs([range(len(free[path])) for path in paths], filter_func=valid)
    return [{path: free[path][at] for path, at in zip(paths, places, strict=True)} for places in every]


def _row_for(pair: Pair, able: Axes, refuse: Refuse) -> list[Row]:
    """A row of defaults with a pair that no row of allpairspy has, which goes on without it where it meets refusals."""
    row = {path: values[0] for path, values in able.items()} | (_helped(_of(pair, able), able, refuse) or {})
    return [row] if refuse(row) is None else []


def _helped(row: dict[str, Any], axes: Axes, refuse: Refuse) -> dict[str, Any] | None:
    """The row, or the first one with one value more that is not refused: an offloaded optimizer needs a ZeRO stage."""
    if refuse(row) is None:
        return row
    more = ({**row, path: value} for path, values in axes.items() if path not in row for value in values[1:])
    return next((other for other in more if refuse(other) is None), None)


def _seldom(path: str, rows: Sequence[Row], possible: Sequence[Pair], able: Axes, refuse: Refuse) -> list[Row]:
    """Rows with the default on that axis wherever another row holds the pairs that are lost."""
    own = [pair for pair in possible if path in dict(pair)]
    kept = list(rows)
    for at, row in enumerate(kept):
        changed = {**row, path: able[path][0]}
        others = kept[:at] + kept[at + 1 :]
        lost = (pair for pair in own if _holds(row, pair, able) and not _holds(changed, pair, able))
        if refuse(changed) is None and all(any(_holds(other, pair, able) for other in others) for pair in lost):
            kept[at] = changed
    return [row for at, row in enumerate(kept) if row not in kept[:at]]


def _pairs(axes: Axes) -> list[Pair]:
    return [
        ((one, a), (other, b))
        for one, other in combinations(axes, 2)
        for a in range(len(axes[one]))
        for b in range(len(axes[other]))
    ]


def _of(pair: Pair, axes: Axes) -> dict[str, Any]:
    return {path: axes[path][at] for path, at in pair}


def _holds(row: Row, pair: Pair, axes: Axes) -> bool:
    return all(row[path] == axes[path][at] for path, at in pair)

"""Which values were run, alone and together: what is new in a scenario, and what of a field was never drawn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

Value = tuple[str, str]
"""A path, and a value as JSON."""

TOGETHER = 3
"""Most values that are looked at together: a bug that takes four is rare (Kuhn and others 2004)."""


class Coverage:
    """Counts values of the scenarios that were run."""

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self._axes = axes
        self._met: set[tuple[Value, ...]] = set()
        self._drawn: Counter[Value] = Counter()

    def add(self, row: Mapping[str, Any]) -> None:
        """`row`: values by path; what is not in it has the first of its axis."""
        self._met.update(_together(row))
        self._drawn.update((path, told(row.get(path, values[0]))) for path, values in self._axes.items())

    def new(self, row: Mapping[str, Any]) -> float:
        """Share of its values, and of pairs and triples of them, that were not run yet, so that a scenario of few
        values is not put behind one of many, and 1 more where a value by itself is new. Those of the plain scenario do
        not count: they are everywhere."""
        groups = list(_together(row))
        new = [group for group in groups if group not in self._met]
        return len(new) / len(groups) + any(len(group) == 1 for group in new) if groups else 0.0

    def drawn(self) -> dict[str, dict[str, int]]:
        """How often each value was run, by path; those that never were have 0."""
        return {path: {told(v): self._drawn[path, told(v)] for v in values} for path, values in self._axes.items()}

    @property
    def pairs(self) -> int:
        """Different pairs of values, of two that are not plain."""
        return sum(len(group) == 2 for group in self._met)


def told(value: Any) -> str:
    """A value as a key of JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _together(row: Mapping[str, Any]) -> Iterable[tuple[Value, ...]]:
    values = sorted((path, told(value)) for path, value in row.items())
    return (group for size in range(1, TOGETHER + 1) for group in combinations(values, size))

"""The smallest scenario that still fails in the same way: a direct search over fields, which explains each step.

Fields are put back to the plain value one at a time, numbers that cannot be are lowered by halving, and names by those
that are simpler. What cannot go by itself, because the rest does not fit without it, is tried together with another
one. The same on every run: nothing is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Answer = Literal["fails", "other", "refused"]
"""Whether a scenario fails in the same way, comes to something else, or cannot be run at all."""
Ask = Callable[[Mapping[str, Any]], Answer]

SAID: Mapping[Answer, str] = {"fails": "still fails", "other": "does not fail so", "refused": "cannot be run"}

CHEAPER = ("window.steps", "window.ranks")
"""What makes every later cell quicker is lowered first."""
LAST = ("window.micro_batch_size", "window.accumulation")
"""Numbers that most of what goes wrong depends on."""


@dataclass(frozen=True)
class Tried:
    """One smaller scenario that was asked for."""

    change: str
    answer: Answer

    @property
    def told(self) -> str:
        return f"{self.change}: {SAID[self.answer]}"


@dataclass(frozen=True)
class Shrunk:
    row: Mapping[str, Any]
    """The smallest that was found."""
    tried: tuple[Tried, ...]


def shrink(row: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], ask: Ask) -> Shrunk:
    """`row` holds values by path where they differ from the first of that path's in `axes`, and fails. A path that has
    no axis can only go as a whole."""
    search = _Search(dict(row), axes, ask)
    search.drop([path for path in search.order() if not path.startswith("window.")])
    while search.lower_each() or search.drop_pairs():
        pass
    return Shrunk(search.row, tuple(search.tried))


class _Search:
    def __init__(self, row: dict[str, Any], axes: Mapping[str, Sequence[Any]], ask: Ask) -> None:
        self.row = row
        self.tried: list[Tried] = []
        self._axes = axes
        self._ask = ask
        self._asked: dict[str, Answer] = {}
        self._refused: list[str] = []
        """Fields that the others do not fit without."""

    def order(self) -> list[str]:
        """The fields that are left, in the order in which they are lowered."""
        first = [path for path in CHEAPER if path in self.row]
        last = [path for path in LAST if path in self.row]
        return [*first, *(path for path in self.row if path not in (*first, *last)), *last]

    def drop(self, paths: Sequence[str]) -> Answer:
        """Put fields back to their plain values, if that still fails."""
        if not paths:
            return "other"
        told = " and ".join(f"{path} = {self.row[path]!r}" for path in paths)
        smaller = {path: value for path, value in self.row.items() if path not in paths}
        return self._try(smaller, f"without {told}")

    def lower_each(self) -> bool:
        """Make each field simpler; whether any was."""
        before, self._refused = dict(self.row), []
        for path in self.order():
            answer = self.drop([path])
            if answer == "refused":
                self._refused.append(path)
            if answer != "fails":
                self._lower(path)
        return self.row != before

    def drop_pairs(self) -> bool:
        """Drop a field that could not go alone together with another one; whether one did."""
        pairs = [[one, other] for one in self._refused for other in self.order() if one != other]
        distinct = {frozenset(pair): pair for pair in pairs}
        return any(self.drop(pair) == "fails" for pair in distinct.values())

    def _lower(self, path: str) -> None:
        values = self._axes.get(path, ())
        value = self.row[path]
        if values and _is_number(value) and _is_number(values[0]):
            self._halve(path, values[0])
            return
        for simpler in _before(value, values):
            if self._set(path, simpler) == "fails":
                return

    def _halve(self, path: str, least: int) -> None:
        """Between the least, which does not fail, and what does."""
        while self.row[path] - least > 1:
            middle = (least + self.row[path]) // 2
            if self._set(path, middle) != "fails":
                least = middle

    def _set(self, path: str, value: Any) -> Answer:
        return self._try({**self.row, path: value}, f"{path} = {value!r} instead of {self.row[path]!r}")

    def _try(self, row: dict[str, Any], change: str) -> Answer:
        key = json.dumps(row, sort_keys=True)
        if key not in self._asked:
            self._asked[key] = self._ask(row)
            self.tried.append(Tried(change, self._asked[key]))
        if self._asked[key] == "fails":
            self.row = row
        return self._asked[key]


def _is_number(value: object) -> bool:
    return type(value) is int


def _before(value: Any, values: Sequence[Any]) -> Iterator[Any]:
    """Values simpler than one, but for the simplest; all of them where it is none of them."""
    for other in values[1:]:
        if other == value:
            return
        yield other

"""The frameworks of a scenario against each other: who made the same update, and how far apart the others are."""

from __future__ import annotations

import bisect
import string
from collections.abc import Sequence
from dataclasses import dataclass

from harness.verdicts.verdict import Side, ViewRecord
from reports import words
from reports.html.figure import Figure, numbers, told

_DRIFT = (1e-5, 1e-3, 1e-2, 0.1, 0.5)
"""Bounds of the shades, relative to the way moved."""
MOST_GROUPS = 26


@dataclass(frozen=True)
class Group:
    letter: str
    members: Sequence[str]
    """Names of cells."""
    side: Side
    votes: int
    majority: bool


def groups(view: ViewRecord) -> list[Group]:
    return [
        Group(letter, group.members, group.side, group.votes, view.majority == i)
        for i, (letter, group) in enumerate(zip(string.ascii_uppercase, view.groups, strict=False))
    ]


def figure(view: ViewRecord) -> Figure | None:
    """How far each two groups are apart at the end; None where all agree."""
    count = min(len(view.groups), MOST_GROUPS)
    found = [d for d in view.distances if 0 <= d.first < count and 0 <= d.second < count]
    if not found:
        return None
    letters = string.ascii_uppercase
    squares = [_square(letter, letter, 0.0, "the same update") for letter in letters[:count]] + [
        _square(letters[a], letters[b], d.drift, words.apart(d))
        for d in found
        for a, b in ((d.first, d.second), (d.second, d.first))
    ]
    rows = [[f"{letters[d.first]} and {letters[d.second]}", words.apart(d)] for d in found]
    return Figure(
        id="apart",
        chart="heat",
        title="How far the groups are apart",
        sentence="L2 distance of the parameters after the last step, over the distance that they have moved.",
        data={"squares": sorted(squares, key=lambda s: (s["row"], s["column"]))},
        numbers=numbers(["groups", "distance"], rows),
        across=count,
    )


def _square(row: str, column: str, drift: float, said: str) -> dict[str, str]:
    return {
        "part": "",
        "row": row,
        "column": column,
        "level": f"off{bisect.bisect_right(_DRIFT, drift)}",
        "text": f"{drift:.2g}",
        "exact": told(drift),
        "name": f"{row} and {column}",
        "place": said,
    }

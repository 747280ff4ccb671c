"""Runs of one scenario sorted by the update that they made, without an oracle: who agrees with whom, and who is alone.

Two runs are in one group if their gradients and what they added to the parameters are the same, in distance and in
length, within the noise of two right implementations (`harness.across.compare`). The group that most independent
frameworks belong to has the vote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.across import compare
from harness.across.compare import Comparison, Snapshot, Tolerance

Run = Sequence[Snapshot]


@dataclass(frozen=True)
class Distance:
    """How far two groups are apart, told by the first run of each."""

    first: int
    second: int
    comparison: Comparison


@dataclass(frozen=True)
class Grouping:
    """The groups, most votes first, and their distances."""

    groups: tuple[tuple[str, ...], ...]
    distances: tuple[Distance, ...]


def group(
    runs: Mapping[str, Run], beta1: float, tolerance: Tolerance, votes: Callable[[Sequence[str]], int] = len
) -> Grouping:
    """Sort runs, by name, into groups of the same update. Raises NotComparable if two share no tensor.

    `votes`: of how many independent implementations some runs are. Releases of one framework have one vote, or many
    wrong ones would outvote the right.
    """
    members: dict[str, list[str]] = {}
    """By each group's first run."""
    apart: dict[tuple[str, str], Comparison] = {}
    for name, run in runs.items():
        against = {leader: compare.compare(runs[leader], run, beta1, tolerance) for leader in members}
        home = next((leader for leader, found in against.items() if parted(found) is None), name)
        members.setdefault(home, []).append(name)
        if home == name:
            apart |= {(leader, name): found for leader, found in against.items()}
    ordered = sorted(members, key=lambda leader: (-votes(members[leader]), -len(members[leader])))
    place = {leader: i for i, leader in enumerate(ordered)}
    distances = [Distance(*_ordered(place[a], place[b]), found) for (a, b), found in apart.items()]
    return Grouping(
        tuple(tuple(members[leader]) for leader in ordered),
        tuple(sorted(distances, key=lambda d: (d.first, d.second))),
    )


def parted(found: Comparison) -> int | None:
    """The first step at which two runs differ; -1 if they do not even hold the same tensors.

    A framework that rounds its float32 master weights to bfloat16 before it starts makes the same update all the same.
    """
    return -1 if found.lonely else found.diverged


def _ordered(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)


def majority(votes: Sequence[int]) -> int | None:
    """The group with the most votes, given each group's; None without any two votes for one, or if two are even."""
    most = max(votes, default=0)
    return votes.index(most) if most > 1 and votes.count(most) == 1 else None

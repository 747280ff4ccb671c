"""Whether an arm is what its label says, by what the oracle found in its first steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REPORTING = frozenset({"misreported"})
"""Causes that change what is logged, and nothing of what is trained."""

DROPPED = "dropped-micro-batches"

Causes = frozenset[str]
Mended = frozenset[str]


@dataclass(frozen=True)
class Labelled:
    """What was found of an arm."""

    right: bool | None
    """None where nobody can tell."""
    said: str


def mends(causes: Mapping[Mended, Causes]) -> dict[str, Causes]:
    """What each fix mends: what is wrong without any and not with it alone."""
    none = frozenset[str]()
    return {fix: causes[none] - causes[frozenset([fix])] for fix in sorted(none.union(*causes))}


def of_combination(mended: Mended, causes: Mapping[Mended, Causes]) -> Labelled:
    """Of one of all combinations of fixes."""
    own, by = causes[mended], mends(causes)
    if idle := sorted(fix for fix in mended if not by[fix]):
        return Labelled(False, f"{', '.join(idle)} mends nothing that the oracle finds in this release")
    wanted = causes[frozenset()] - frozenset().union(*(by[fix] for fix in mended))
    if own != wanted:
        return Labelled(False, f"{named(own)}, where {named(wanted)} should be left")
    return Labelled(True, named(own))


def of_control(own: Causes, released: Causes | None) -> Labelled:
    """Of the release as it is, not offloaded: nothing may be wrong in it that is not wrong with offload too, and no
    micro-batch may be lost, as none is where nothing is offloaded."""
    return Labelled(None if released is None else own <= released - {DROPPED}, named(own))


def of_right(own: Causes) -> Labelled:
    """Of an arm in which nothing should be wrong."""
    return Labelled(not own, named(own))


def named(causes: Causes | Sequence[str]) -> str:
    return " and ".join(sorted(causes)) or "nothing wrong"

"""Which pairs of scenarios the relations make of a scenario, what each side is called, and who can express both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.contract import Scenario, fields_of, vary
from adapters.expressed import refused
from harness.relations.declared import Relation
from scenarios import patterns

MOST_LETTERS = 80
"""Of a scenario's name, which names a folder."""


@dataclass(frozen=True)
class Pair:
    """Two scenarios that must give one update."""

    relation: Relation
    base: Scenario
    """What they were made of; one of them may be that."""
    sides: tuple[Scenario, Scenario]

    def refused(self, framework: str) -> str | None:
        """Why a framework cannot have both, by the table of what adapters honour; None if it may."""
        return next((why for side in self.sides if (why := refused(side, framework)) is not None), None)


@dataclass(frozen=True)
class Silent:
    """A relation that says nothing of a scenario."""

    relation: Relation
    base: Scenario
    reason: str


def pairs(relations: Iterable[Relation], bases: Iterable[Scenario]) -> tuple[list[Pair], list[Silent]]:
    """Every pair, relation by relation, and what has none. Sides that are one scenario have one name."""
    found: list[Pair] = []
    silent: list[Silent] = []
    bases = list(bases)
    named = {base.hash: base.name for base in bases}
    for relation in relations:
        for base in bases:
            try:
                found += _pairs(relation, base, named)
            except ValueError as error:
                silent.append(Silent(relation, base, str(error).replace("scenario.", "", 1)))
    return found, silent


def differing(one: Scenario, other: Scenario) -> Mapping[str, tuple[Any, Any]]:
    """Fields that differ, by their dotted path, with both values; the name is none of them."""
    left, right = ({path: value for path, value, _ in fields_of(side)} for side in (one, other))
    return {p: (left[p], right[p]) for p in left if p in right and p != "name" and left[p] != right[p]}


def _pairs(relation: Relation, base: Scenario, named: dict[str, str]) -> list[Pair]:
    """Raises ValueError, in one line, where there is none."""
    if base.model.neftune_alpha:
        raise ValueError("its noise is drawn anew in each run")
    found, last = [], "both sides are the same"
    for sides in relation.sides(base):
        try:
            for side in sides:
                side.check()
                patterns.check(side)
        except ValueError as error:
            last = str(error)
            continue
        one, other = (_called(side, relation, base, named) for side in sides)
        if one.hash != other.hash:
            found.append(Pair(relation, base, (one, other)))
    if not found:
        raise ValueError(last)
    return found


def _called(side: Scenario, relation: Relation, base: Scenario, named: dict[str, str]) -> Scenario:
    """The side with a name of its own, by what differs from the base."""
    if side.hash not in named:
        name = ".".join([base.name, *_words(side, relation, base)])
        if len(name) > MOST_LETTERS or name in named.values():
            name = f"{base.name[: MOST_LETTERS - 9]}.{side.hash[:8]}"
        named[side.hash] = name
    return vary(side, name=named[side.hash])


def _words(side: Scenario, relation: Relation, base: Scenario) -> Iterator[str]:
    told = differing(base, side)
    if "data.rows" in told:
        yield relation.name
    for path, (_, value) in told.items():
        word = path.rpartition(".")[2]
        if isinstance(value, str):
            yield value
        elif isinstance(value, bool) or value is None:
            yield word if value else f"no-{word}"
        elif isinstance(value, (int, float)):
            yield f"{word}-{value}"

"""The run that holds both sides of every pair: each scenario once for a release that may have both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tomli_w

from adapters.contract import Scenario
from harness import files
from harness.relations.pairs import Pair
from harness.session.plan import Choice, Plan
from scenarios import catalogue
from scenarios.files import SUFFIX, content

SIDES = "sides"
"""The folder of the scenarios' files, which `lockstep run --scenario` reads."""


def planned(plan: Plan, pairs: Sequence[Pair], out: Path) -> Plan:
    """The plan with the scenarios of all pairs, each for the releases that may have a pair of it."""
    choices = {side.name: choice(side, out) for pair in pairs for side in pair.sides}
    cells = {
        (request, choices[side.name])
        for request in plan.requests
        for pair in pairs
        if pair.refused(request.framework) is None
        for side in pair.sides
    }
    return replace(plan, choices=tuple(choices.values()), pairs=frozenset(cells))


def choice(side: Scenario, out: Path) -> Choice:
    """A side as a run takes it: by its name where the catalogue has it, else by its file."""
    return Choice(side.name, side.seed, side, None if _known(side) else str(_file(side, out)))


def write(pairs: Sequence[Pair], out: Path) -> None:
    """A file for every side that the catalogue does not have. Raises OSError."""
    (out / SIDES).mkdir(exist_ok=True)
    for side in {side.name: side for pair in pairs for side in pair.sides}.values():
        if not _known(side):
            files.replace(_file(side, out), tomli_w.dumps(content(side)))


def _known(side: Scenario) -> bool:
    return side.name in catalogue.CATALOGUE and catalogue.get(side.name, side.seed) == side


def _file(side: Scenario, out: Path) -> Path:
    return out / SIDES / f"{side.name}{SUFFIX}"

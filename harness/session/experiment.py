"""What decides a cell. A run that is gone on with keeps the verdicts of the very same experiments, and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields

from harness.verdicts.verdict import CellRecord


@dataclass(frozen=True)
class Experiment:
    """All that decides a cell, as its record has it; two that are equal come to the same outcome."""

    harness: str | None
    """What runs and judges it: `harness.history.identity`."""
    scenario_hash: str | None
    """Every field of the scenario, with seed, ranks and device."""
    environment: str | None
    """Packages, interpreter and machine, and a patch by its content; None if nobody can tell."""
    command: str | None
    """The release, and every option that decides: a fault, the launcher."""


ANOTHER: Mapping[str, str] = {
    "harness": "another Lockstep",
    "scenario_hash": "another scenario",
    "environment": "another environment",
    "command": "other options",
}
"""What an earlier verdict was reached with, by the first field that differs."""

OWN = "an interpreter of your own, which may have changed"
DAMAGED = "a damaged trace"


def of(cell: CellRecord) -> Experiment:
    return Experiment(**{field.name: getattr(cell, field.name) for field in fields(Experiment)})


def difference(earlier: CellRecord, due: CellRecord) -> str | None:
    """Why the verdict of an earlier run does not stand for the cell that is due; None if it does."""
    one, other = of(earlier), of(due)
    if one == other:
        # What is nowhere written down cannot be compared. The packages there may have been edited in place.
        return None if due.environment is not None else OWN
    return next(words for name, words in ANOTHER.items() if getattr(one, name) != getattr(other, name))


def told(kept: int, again: Mapping[str, int]) -> str:
    """One line for what was done with the verdicts of an earlier run. `again`: what they were reached with, counted."""
    reasons = ", ".join(f"{count} with {words}" for words, count in Counter(again).most_common())
    why = f" ({reasons})" if reasons else ""
    return f"of the earlier run's verdicts {kept} kept, {sum(again.values())} run again{why}"

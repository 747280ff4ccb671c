"""`relations.json`: each relation that was asked of a release, with the two runs that were held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import documents

FILE = "relations.json"

State = Literal["broken", "unknown", "holds", "unsupported"]
"""Worst first."""


class _Record(BaseModel):
    model_config = ConfigDict(populate_by_name=True, ser_json_inf_nan="strings")


class SideRecord(_Record):
    """One of the two runs."""

    scenario: str
    settings: dict[str, Any]
    """What differs from the other side, by the field's path; of rows, how many there are."""
    cell: str | None = None
    """As in verdict.json."""
    verdict: str | None = None
    """What the oracle says of this run by itself, which the relation does not ask."""
    causes: list[str] = Field(default_factory=list)
    trace: str | None = None
    """Folder of the trace, relative to `relations.json`."""
    command: str | None = None
    """What runs this side again."""


class StepRecord(_Record):
    """One optimizer step of both runs; pairs are of the first and of the second one."""

    step: int
    gradients: tuple[float, float] | None = None
    """L2 norms of what the optimizers consumed; None where it was not recorded."""
    gradient: float | None = None
    """L2 distance of these, relative to the longer one."""
    ways: tuple[float, float]
    """How far the parameters had come from their start by then."""
    drift: float
    """L2 distance of the two ways, relative to the longer one."""


class PairRecord(_Record):
    """One relation of one release, by two runs."""

    relation: str
    framework: str
    version: str
    base: str
    """The scenario that both were made of."""
    sides: tuple[SideRecord, SideRecord]
    state: State
    reason: str | None = None
    """One line for what is neither broken nor holds."""
    parted: int | None = None
    """The first step that differs; -1 if they do not hold the same tensors."""
    steps: list[StepRecord] = Field(default_factory=list)
    worst: list[str] = Field(default_factory=list)
    """The tensors that differ most at that step."""
    allowed: str | None = None
    """What two right runs may differ by, and where that comes from."""


class SilentRecord(_Record):
    """A relation that says nothing of a scenario."""

    relation: str
    base: str
    reason: str


class Relations(_Record):
    """All of it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    harness: str = ""
    """`harness.history.identity` of what ran and compared it."""
    command: str = ""
    fault: str | None = None
    sentences: dict[str, str] = Field(default_factory=dict)
    """What each relation says, by its name."""
    pairs: list[PairRecord] = Field(default_factory=list)
    silent: list[SilentRecord] = Field(default_factory=list)


def write(relations: Relations, folder: Path) -> Path:
    """Write `folder/relations.json` in one atomic replacement; returns its path."""
    return documents.write(relations, folder / FILE)

"""`bisect.json`: the outcome of a bisection. Reports on bisections read nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import documents
from harness.bisection.search import Verdict
from harness.verdicts.verdict import DiagnosisRecord

FILE = "bisect.json"
MAX_BYTES = 16 * 2**20
SCHEMA = 1

Kind = Literal["releases", "underneath", "dates", "commits"]


class UnreadableBisection(Exception):
    """`bisect.json` is missing, truncated, or of a schema this release does not read."""


class PointRecord(BaseModel):
    """A point of the line."""

    label: str
    date: str | None = None
    """ISO 8601."""
    told: str | None = None
    """A commit's subject, or that a release was yanked."""


class MeasuredPoint(PointRecord):
    """A point that was measured, or that was to be."""

    verdict: Verdict
    causes: list[str] = Field(default_factory=list)
    times: int = 1
    """How often it was measured."""
    stable: bool = True
    """False: its measurements differ, and nothing is concluded from it."""
    kept: int = 0
    """How many of these measurements were known from earlier."""
    reason: str | None = None
    """Why it tells nothing."""
    version: str | None = None
    """Under which it stands in the verdict of its run."""
    diagnoses: list[DiagnosisRecord] = Field(default_factory=list)
    seconds: float | None = None
    trace: str | None = None
    command: str | None = None
    """What measures it alone."""


class InferredPoint(PointRecord):
    """A point that was not measured: its neighbours that were have the same outcome."""

    verdict: Verdict
    causes: list[str] = Field(default_factory=list)


class BoundaryRecord(BaseModel):
    """A change of outcome."""

    before: str
    after: str
    verdict_before: Verdict
    verdict_after: Verdict
    causes_before: list[str]
    causes_after: list[str]
    between: list[str] = Field(default_factory=list)
    """What lies between and tells nothing: the change may have come with any of these, or with `after`."""
    inconclusive: bool = False
    """Whether one of those between gave two different outcomes."""
    told: str | None = None
    """What there is to say of `after`: the subject of a commit."""
    compare: str | None = None
    """Where the changes between the two can be read."""
    guilty: list[str] = Field(default_factory=list)
    """With dates: the packages that were swapped between the two; what changes came with one of them."""
    alone: MeasuredPoint | None = None
    """With dates: the older environment with these swapped, and of the others only what they need. None if that is what
    `after` is in any case."""


class Bisection(BaseModel):
    """A whole bisection."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    """Version of this harness."""
    kind: Kind
    framework: str
    target: str
    """What was asked for, such as `trl==1.16.0`."""
    of: str
    """The package whose releases these are, or what else differs."""
    scenario: str
    scenario_told: str = ""
    """What the scenario is, in words."""
    platform: str = ""
    """Interpreter and machine."""
    cause: str | None = None
    """The only cause that was looked for; None for all."""
    patch: str | None = None
    command: str = ""
    """The command that repeats all of it."""
    order: list[str]
    """Labels of all points, oldest first."""
    boundaries: list[BoundaryRecord] = Field(default_factory=list)
    measured: list[MeasuredPoint] = Field(default_factory=list)
    inferred: list[InferredPoint] = Field(default_factory=list)
    uninstallable: list[MeasuredPoint] = Field(default_factory=list)
    source: str | None = None
    """Where the package is developed."""
    allowed: int = 0
    """Most points to be measured for the boundaries found."""
    left: int = 0
    """Measurements still to come, if the search was stopped."""
    seconds: float = 0.0
    """Wall time, of all the sessions it took to get here."""
    complete: bool = False


def write(bisection: Bisection, folder: Path) -> Path:
    """Write `folder/bisect.json` in one atomic replacement; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return documents.write(bisection, folder / FILE)


def read(folder: Path) -> Bisection:
    """Raises UnreadableBisection with one line: what is wrong and what to do."""
    return documents.read(Bisection, folder / FILE, MAX_BYTES, UnreadableBisection, "bisect again")

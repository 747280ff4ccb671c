"""`detection.json`: which faults and bugs each set of scenarios finds, by what, and every cell that was run for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import documents
from harness.verdicts.verdict import Outcome

FILE = "detection.json"
MAX_BYTES = 64 * 2**20


class UnreadableDetection(Exception):
    """`detection.json` cannot be read; the message is one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CauseResult(_Strict):
    """One cause that a cell names."""

    cause: str
    kind: str
    names: tuple[str, ...] = ()
    """What was measured of it."""


class CellResult(_Strict):
    """One cell that was run."""

    release: str
    environment: str | None
    scenario: str
    scenario_hash: str
    fault: str | None = None
    verdict: Outcome
    codes: tuple[str, ...] = ()
    """Of its findings."""
    causes: tuple[CauseResult, ...] = ()
    reason: str | None = None
    """Of `unknown` and `unsupported`."""


class FoundRecord(_Strict):
    """The cell by which something was found."""

    scenario: str
    codes: tuple[str, ...]
    kinds: tuple[str, ...]
    """Of all causes that the cell names."""
    named: bool
    """Whether the fault's own cause, or the bug's, is named; of a fault, as the only one."""


State = Literal["found", "named otherwise", "missed", "acts in none", "unknown"]


class OutcomeRecord(_Strict):
    """One fault, or one bug, on one set of scenarios."""

    cells: int
    """In which it acts, as the fault or the bug declares it."""
    tried: int = 0
    """That were run until it was found, or all of them."""
    found: FoundRecord | None = None
    hidden: dict[str, int] = Field(default_factory=dict)
    """Why it cannot be seen in the others, with the number of these."""
    instead: dict[str, int] = Field(default_factory=dict)
    """What was said of the cells that were tried in vain: `pass`, or other kinds."""
    unsupported: int = 0
    """Cells that the release refused."""
    unknown: int = 0
    """Cells that could not be judged, or whose control was not right."""
    reason: str | None = None
    """Of the last of these."""

    @property
    def state(self) -> State:
        """A fault that can be seen nowhere is not missed, and neither is one of which nothing could be judged."""
        if self.found is not None:
            return "found" if self.found.named else "named otherwise"
        if self.cells == self.unsupported:
            return "acts in none"
        return "missed" if self.instead else "unknown"


class FaultRecord(_Strict):
    """A planted fault."""

    name: str
    what: str
    cause: str
    outcomes: dict[str, OutcomeRecord]
    """By the set of scenarios."""


class BugRecord(_Strict):
    """A public bug of a released package."""

    name: str
    what: str
    release: str | None = None
    kind: str | None = None
    """A shell pattern of the kind that must be named."""
    why: str | None = None
    """Why no scenario can show it."""
    outcomes: dict[str, OutcomeRecord] = Field(default_factory=dict)


class SetRecord(_Strict):
    """One set of scenarios: a standard matrix, or those with names."""

    cells: int
    """Of the reference, in which faults are planted."""
    clean: dict[str, int]
    """Cells without a fault that were run as a control, by verdict."""
    chosen: tuple[str, ...]
    """Cells that find whatever the set finds of the faults: few, though there may be fewer yet."""


class CleanRecord(_Strict):
    """Cells of a release that is right."""

    release: str
    verdicts: dict[str, int]


class Detection(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = 1
    lockstep: str
    harness: str
    """`harness.history.identity` of what ran and judged every cell."""
    complete: bool = False
    sets: dict[str, SetRecord] = Field(default_factory=dict)
    faults: tuple[FaultRecord, ...] = ()
    bugs: tuple[BugRecord, ...] = ()
    clean: tuple[CleanRecord, ...] = ()
    """Of other runs, in which nothing is planted and nothing may be found."""
    cells: list[CellResult] = Field(default_factory=list)

    def states(self, name: str) -> Counter[State]:
        """Of all faults on one set of scenarios."""
        return Counter(fault.outcomes[name].state for fault in self.faults)


def write(detection: Detection, folder: Path) -> Path:
    """Replace `folder/detection.json` in one step. Raises OSError."""
    return documents.write(detection, folder / FILE, defaults=False)


def read(folder: Path) -> Detection:
    """Raises UnreadableDetection."""
    return documents.read(Detection, folder / FILE, MAX_BYTES, UnreadableDetection, "give another --out")

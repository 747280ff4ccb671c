"""`night.json`: what a night was to run, and what became of it. Kept when the night's traces are pruned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness import files
from harness.nightly.canaries import CanaryRecord
from harness.nightly.causes import causes
from harness.nightly.plan import NightPlan
from harness.nightly.tickets import Action, State
from harness.verdicts.verdict import CellRecord, ReadOutcome

SCHEMA = 1
NIGHTS = "nights"
FILE = "night.json"
PAGE = "night.md"
NAME = "%Y%m%d-%H%M%S"
"""Of a night's folder: when it began, in UTC."""
LARGEST = 64 * 2**20
"""Bytes of a record that are read; that of a night with 500 cells has less than one MiB."""

GREEN, WRONG, RED = 0, 1, 3


class BadNight(Exception):
    """The record of a night cannot be read; the message is one line with the remedy."""


class CellSeen(BaseModel):
    """One cell of a night, as far as later nights look back at it."""

    model_config = ConfigDict(frozen=True)

    framework: str
    version: str
    scenario: str
    """Its label."""
    verdict: ReadOutcome
    causes: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def outcome(self) -> str:
        return f"{self.verdict}: {'; '.join(self.causes)}" if self.causes else self.verdict


class EventRecord(BaseModel):
    """What a night did to a ticket, or that it is still open though the night did not show it."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    title: str
    action: Action | None
    """None: the night did not show it."""
    state: State
    """The ticket's own after that."""
    summary: str
    cells: tuple[str, ...]
    """Where it was seen last."""
    listed: bool = False
    """Closed because it is listed as accepted, though it is still there."""
    measured: bool = True
    """Whether the night would have shown it: False if its cells were not in it, or do not tell."""


def _name(text: str) -> str:
    try:
        begun = datetime.strptime(text, NAME).replace(tzinfo=UTC)
    except ValueError:
        begun = None
    if begun is None or begun.strftime(NAME) != text:
        raise ValueError("its name is not the time at which it began")
    return text


class Night(BaseModel):
    """One night. Written before anything runs, and again at its end."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, AfterValidator(_name)]
    """Its folder, by `NAME`."""
    lockstep: str
    """Version of this harness."""
    plan: NightPlan
    before: str | None = None
    """The night that it goes on from."""
    news: dict[str, str] = Field(default_factory=dict)
    """What was released since then, such as `5.22.2 -> 5.23.0`, by package."""
    finished: str | None = None
    """UTC, ISO 8601; None while it goes on, and for ever if it was given up."""
    cells: tuple[CellSeen, ...] = ()
    canaries: tuple[CanaryRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    """What was found once, and of which a second run could not tell anything."""
    environments: tuple[str, ...] = ()
    """Lock hashes of the environments that it used."""
    problems: tuple[str, ...] = ()
    """What else did not go as it should."""
    untold: tuple[str, ...] = ()
    """What the ticket command has yet to be told, where it was not given."""

    @property
    def lost(self) -> tuple[CanaryRecord, ...]:
        return tuple(canary for canary in self.canaries if not canary.found)

    @property
    def status(self) -> int:
        """3 a canary is lost: then nothing else can be believed. 1 a confirmed divergence. 3 anything that is not known
        or did not go as it should: an unknown cell, what is flaky or unconfirmed, a problem. Else 0.

        It tells of this night: an open ticket that it did not show counts by what its cells are tonight.
        """
        if self.lost or not self.canaries:
            return RED
        if any(event.state == "open" and event.action for event in self.events):
            return WRONG
        verdicts = {cell.verdict for cell in self.cells}
        doubtful = self.unconfirmed or self.problems or any(event.state == "flaky" for event in self.events)
        return RED if doubtful or "unknown" in verdicts or not verdicts & {"pass", "accepted"} else GREEN


def seen(cell: CellRecord) -> CellSeen:
    wrong = cell.verdict in ("fail", "accepted")
    return CellSeen(
        framework=cell.framework,
        version=cell.version,
        scenario=cell.label,
        verdict=cell.verdict,
        causes=causes(cell) if wrong else (),
        environment=cell.environment,
    )


def write(night: Night, home: Path) -> None:
    """Write `home/nights/NAME/night.json` in one atomic step. Raises OSError."""
    files.replace(home / NIGHTS / night.name / FILE, night.model_dump_json(by_alias=True, indent=1) + "\n")


def read(path: Path) -> Night:
    """Read a `night.json`. Raises BadNight."""
    try:
        night = Night.model_validate_json(files.read(path, LARGEST))
    except (ValidationError, files.TooLarge) as error:
        said = str(error) if isinstance(error, files.TooLarge) else " ".join(error.errors()[0]["msg"].split())
        raise BadNight(f"{path} cannot be read ({said}): move its folder away") from None
    except OSError as error:
        raise BadNight(f"{path} cannot be read ({error.strerror}): check its permissions") from None
    if night.name != path.parent.name:
        raise BadNight(f"{path} is not of the night that its folder is named after: move its folder away")
    return night


def nights(home: Path) -> list[Night]:
    """All nights of a folder, oldest first. Raises BadNight."""
    return [read(path) for path in sorted((home / NIGHTS).glob(f"*/{FILE}"))]


def last_finished(found: Iterable[Night]) -> Night | None:
    return next((night for night in reversed([*found]) if night.finished), None)

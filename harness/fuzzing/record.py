"""`fuzz.json`: what was found so far; and `tried.jsonl`, a line for each cell, by which a stopped fuzz goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import documents, files
from harness.verdicts.verdict import Outcome

FILE, TRIED = "fuzz.json", "tried.jsonl"
MAX_BYTES = 64 * 2**20


class UnreadableFuzz(Exception):
    """`fuzz.json` is missing, truncated, or of a schema this release does not read."""


class Spent(BaseModel):
    cells: int
    seconds: float


class CauseRecord(BaseModel):
    """One cause, and the smallest scenario that shows it."""

    cause: str
    """Of a diagnosis, or the codes of the findings where there is none."""
    kind: str
    """With what tells it from another of that cause."""
    names: list[str]
    """Every name that it has in the smallest scenario."""
    scenario: dict[str, Any]
    """As in its file."""
    settings: dict[str, Any]
    """What differs from the plain scenario: one rank, one micro-batch, one step, and every default."""
    file: str
    """In the folder of the fuzz; what `--scenario` reads."""
    cells: int
    """That were run until it was found and made small, from the begin of the fuzz."""
    seconds: float
    """Likewise, once the framework was there."""
    shrinking: Spent
    """What making it small took of these."""
    steps: list[str]
    """What was tried to make it smaller, and what came of it."""
    first: dict[str, Any]
    """The settings of the scenario that showed it first."""
    steady: bool
    """Whether the smallest scenario failed in the same way when it was run once more."""
    accepted: str | None = None
    """Why it is accepted; None for what is new."""
    seen: int = 1
    """Drawn scenarios that showed it."""
    summary: str
    evidence: str = ""
    codes: list[str] = Field(default_factory=list)
    upstream: str | None = None
    remedy: str | None = None
    command: str
    """What runs the smallest scenario again."""
    bisect: str
    """What finds out since when."""
    markdown: str = ""
    """To paste into an issue of the framework."""


class UnknownRecord(BaseModel):
    """Scenarios that could not be judged for one reason."""

    reason: str
    count: int = 1
    settings: dict[str, Any]
    """Of the first."""


class Fuzz(BaseModel):
    """A whole fuzz."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    harness: str = ""
    """`harness.history.identity` of what ran and judged."""
    framework: str
    """What was asked for, such as `deepspeed==0.18.9`."""
    version: str = ""
    environment: str = ""
    against: str | None = None
    fault: str | None = None
    seed: int = 0
    minutes: float = 0.0
    command: str = ""
    causes: list[CauseRecord] = Field(default_factory=list)
    verdicts: dict[str, int] = Field(default_factory=dict)
    """Cells by verdict, those run to make scenarios small among them."""
    unknown: list[UnknownRecord] = Field(default_factory=list)
    cells: int = 0
    seconds: float = 0.0
    """Of searching, over all the sessions it took; building and importing the framework not counted."""
    cells_per_minute: float = 0.0
    refused: int = 0
    """Drawn scenarios that the framework cannot have."""
    coverage: dict[str, dict[str, int]] = Field(default_factory=dict)
    """By field, how many drawn scenarios had which value; a value of 0 was never run."""
    pairs: int = 0
    """Different pairs of values, of two that are not plain, that were run."""
    complete: bool = False


class Line(BaseModel):
    """One drawn scenario that was run."""

    row: dict[str, Any]
    verdict: Outcome
    symptoms: list[tuple[str, list[str]]] = Field(default_factory=list)
    """Causes, and the names that each has."""


def write(fuzz: Fuzz, folder: Path) -> Path:
    """Write `folder/fuzz.json` in one atomic replacement; returns its path."""
    return documents.write(fuzz, folder / FILE)


def read(folder: Path) -> Fuzz:
    """Raises UnreadableFuzz with one line: what is wrong and what to do."""
    return documents.read(Fuzz, folder / FILE, MAX_BYTES, UnreadableFuzz, "give another --out")


def note(line: Line, folder: Path) -> None:
    """Add a line to `folder/tried.jsonl`. Raises OSError."""
    with (folder / TRIED).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line.model_dump(), separators=(",", ":")) + "\n")


def tried(folder: Path) -> Iterator[Line]:
    """The lines of `folder/tried.jsonl`; none if there is none. One that a kill has cut off is left out."""
    try:
        content = files.read(folder / TRIED, MAX_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnreadableFuzz(f"{folder / TRIED} cannot be read ({error.strerror}); give another --out") from None
    for line in content.splitlines():
        try:
            yield Line.model_validate_json(line)
        except ValidationError:
            continue

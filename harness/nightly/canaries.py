"""Canaries: releases that are known to be wrong, run every night to see that the harness still finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import scenarios
from harness import tables
from harness.environments.request import BadRequest, Request, parse
from harness.nightly.causes import causes
from harness.verdicts.verdict import CellRecord

FILE = Path(__file__).with_name("canaries.toml")


class BadCanaries(Exception):
    """A file of canaries cannot be read; the message is one line with the place."""


class Canary(BaseModel):
    """One release, and what has to be found in it. The record of an old night may have one that is not run any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    """As `harness.environments.request.parse` reads it, with its version."""
    scenario: str
    cause: Annotated[str, Field(min_length=1)]
    """The `kind` of the diagnosis."""

    @property
    def request(self) -> Request:
        return parse(self.release).resolved()


class CanaryRecord(BaseModel):
    """What became of a canary in one night."""

    model_config = ConfigDict(frozen=True)

    release: str
    scenario: str
    cause: str
    found: bool
    measured: bool
    """Whether it ran: if not, the machine or the network may be to blame, and the harness need not be."""
    said: str
    """A sentence: what was found instead, where it was not found."""


def _runnable(canary: Canary) -> Canary:
    """With its release as a request writes it."""
    try:
        request = parse(canary.release)
        request.resolved()
    except BadRequest as error:
        raise ValueError(str(error)) from None
    if request.version is None:
        raise ValueError(f"{canary.release!r} is no single release; write NAME==VERSION")
    if canary.scenario not in scenarios.CATALOGUE:
        raise ValueError(f"{canary.scenario!r} is no scenario; `lockstep list scenarios` names them")
    return canary.model_copy(update={"release": str(request)})


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    canary: Annotated[tuple[Annotated[Canary, AfterValidator(_runnable)], ...], Field(min_length=1)]


def load(path: Path = FILE) -> tuple[Canary, ...]:
    """Read a file of canaries. Raises BadCanaries; also for one without any: a night must be able to fail by them."""
    try:
        return tables.read(path, _File).canary
    except tables.BadTable as error:
        raise BadCanaries(str(error)) from None


def looked_after(canaries: Sequence[Canary], cells: Mapping[tuple[str, str], CellRecord]) -> tuple[CanaryRecord, ...]:
    """What became of each; `cells` by release as the canary has it, and scenario."""
    return tuple(_record(canary, cells.get((canary.release, canary.scenario))) for canary in canaries)


def _record(canary: Canary, cell: CellRecord | None) -> CanaryRecord:
    measured = cell is not None and cell.verdict not in ("unknown", "unsupported")
    found = cell is not None and cell.verdict == "fail" and canary.cause in causes(cell)
    wanted = f"{canary.cause!r} in {canary.release} on {canary.scenario}"
    said = f"the harness still finds {wanted}"
    if not measured:
        said = f"whether {said} is not known: {_instead(cell)}"
    elif not found:
        said = f"the harness no longer finds {wanted}: {_instead(cell)}"
    return CanaryRecord(**canary.model_dump(), found=found, measured=measured, said=said)


def _instead(cell: CellRecord | None) -> str:
    if cell is None:
        return "it was not run"
    if cell.verdict == "fail":
        return f"it found {'; '.join(causes(cell))}"
    return f"the cell is {cell.verdict}" + (f" ({cell.reason})" if cell.reason else "")

"""Public bugs of released packages, from `bugs.toml`, and which of them a set of scenarios finds."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.contract import Scenario
from harness import tables
from harness.detection.planted import Run
from harness.detection.record import BugRecord, CellResult, FoundRecord, OutcomeRecord
from harness.environments.request import BadRequest, Request, parse

FILE = Path(__file__).with_name("bugs.toml")


class Bug(BaseModel):
    """One bug: the release that has it and the kind that must be named, or why no scenario can show it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    what: str
    release: str | None = None
    """As `lockstep run --framework` takes it."""
    kind: str | None = None
    """A shell pattern of a diagnosis' kind."""
    why: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.release is None) != (self.kind is None) or (self.release is None) == (self.why is None):
            raise ValueError(f"{self.name} must have a release and a kind, or why no scenario can show it")
        try:
            parse(self.release or "torch").resolved()
        except BadRequest as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def request(self) -> Request | None:
        """None for one that no scenario can show."""
        return parse(self.release).resolved() if self.release is not None else None

    def record(self, outcomes: dict[str, OutcomeRecord]) -> BugRecord:
        return BugRecord(**self.model_dump(), outcomes=outcomes)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    bug: Annotated[tuple[Bug, ...], Field(min_length=1)]


def load(path: Path = FILE) -> tuple[Bug, ...]:
    """Raises BadTable."""
    return tables.read(path, _File).bug


def detect(scenarios: Sequence[Scenario], bugs: Sequence[Bug], run: Run) -> dict[str, OutcomeRecord]:
    """Go through the scenarios in their order until every bug is found; all bugs are of one release."""
    found: dict[str, OutcomeRecord] = {}
    seen: list[CellResult] = []
    for scenario in scenarios:
        if len(found) == len(bugs):
            break
        seen += run([(scenario, None)])
        for bug in bugs:
            if bug.name not in found and (by := _found(seen[-1], bug)) is not None:
                found[bug.name] = OutcomeRecord(cells=len(scenarios), tried=len(seen), found=by)
    return {bug.name: found[bug.name] if bug.name in found else _lost(seen) for bug in bugs}


def _lost(seen: Sequence[CellResult]) -> OutcomeRecord:
    verdicts = Counter(cell.verdict for cell in seen)
    kinds = Counter(_said(cell) for cell in seen if cell.verdict in ("pass", "fail"))
    reasons = [cell.reason for cell in seen if cell.verdict == "unknown"]
    return OutcomeRecord(
        cells=len(seen),
        tried=len(seen),
        instead=dict(kinds),
        unsupported=verdicts["unsupported"],
        unknown=verdicts["unknown"],
        reason=reasons[-1] if reasons else None,
    )


def _said(cell: CellResult) -> str:
    return "; ".join(cause.kind for cause in cell.causes) or cell.verdict


def _found(cell: CellResult, bug: Bug) -> FoundRecord | None:
    kinds = tuple(cause.kind for cause in cell.causes)
    if not any(fnmatch.fnmatchcase(kind, bug.kind or "") for kind in kinds):
        return None
    return FoundRecord(scenario=cell.scenario, codes=cell.codes, kinds=kinds, named=True)

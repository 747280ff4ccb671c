"""Public bugs of released packages, from `bugs.toml`, and which of them a set of scenarios finds."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.contract import Scenario, fields_of
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
    where: dict[str, Any] = Field(default_factory=dict)
    """Values of fields by their dotted paths, without which it does not act."""
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

    def acts(self, scenario: Scenario) -> bool:
        """Whether the scenario has what it takes."""
        has = {path: value for path, value, _ in fields_of(scenario)}
        return all(has[path] == value for path, value in self.where.items())

    def record(self, outcomes: dict[str, OutcomeRecord]) -> BugRecord:
        return BugRecord(**self.model_dump(exclude={"where"}), outcomes=outcomes)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    bug: Annotated[tuple[Bug, ...], Field(min_length=1)]


def load(path: Path = FILE) -> tuple[Bug, ...]:
    """Raises BadTable."""
    return tables.read(path, _File).bug


def detect(scenarios: Sequence[Scenario], bugs: Sequence[Bug], run: Run) -> dict[str, OutcomeRecord]:
    """Go through the scenarios in their order until every bug is found; all bugs are of one release."""
    found: dict[str, FoundRecord] = {}
    seen: dict[str, list[CellResult]] = {bug.name: [] for bug in bugs}
    for scenario in scenarios:
        sought = [bug for bug in bugs if bug.name not in found and bug.acts(scenario)]
        if not sought:
            continue
        [cell] = run([(scenario, None)])
        for bug in sought:
            seen[bug.name].append(cell)
            if (by := _found(cell, bug)) is not None:
                found[bug.name] = by
    acting = {bug.name: sum(map(bug.acts, scenarios)) for bug in bugs}
    return {
        name: OutcomeRecord(cells=count, tried=len(seen[name]), found=found[name])
        if name in found
        else _lost(seen[name])
        for name, count in acting.items()
    }


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

"""`scenarios/accepted.toml`: divergences that are accepted, so that a run does not turn red over them again.

A failing cell is `accepted` if entries cover every code that was found in it. A cell that an entry covers, and in which
its code was not found, fails: the divergence may be mended, which somebody should notice.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import scenarios
from adapters.contract import Scenario, fields_of
from harness import tables
from harness.environments import recipes
from harness.verdicts.findings import CODES
from harness.verdicts.verdict import CellRecord, FindingRecord
from scenarios.dimensions import dimensions

FILE = Path(scenarios.__file__).with_name("accepted.toml")
GONE = "accepted.gone"


class BadAccepted(Exception):
    """A file of accepted divergences cannot be read; the message is one line with the place."""


def _range(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"{text!r} is not a version range such as '>=0.18.3,<0.19.6'") from None
    return text


def _code(text: str) -> str:
    if text not in CODES:
        raise ValueError(f"{text!r} is not the code of a finding; `lockstep list findings` names them")
    return text


def _framework(text: str) -> str:
    if text not in recipes.shipped().framework:
        raise ValueError(f"{text!r} is no framework; `lockstep list frameworks` names them")
    return text


def _glob(text: str) -> str:
    if not scenarios.matching(text) and not scenarios.in_matrices(text):
        raise ValueError(f"{text!r} matches no scenario; `lockstep list scenarios` names them")
    return text


def _fields(told: dict[str, Any]) -> dict[str, Any]:
    known = {one.path: one.values for one in dimensions()}
    for path, wanted in told.items():
        if path not in known:
            raise ValueError(f"{path!a} is no field of a scenario; `lockstep list dimensions` names them")
        if (found := _no_value(known[path], wanted)) is not None:
            raise ValueError(f"{found!a} is no value of {path}, which has {known[path]}")
    return told


def _no_value(values: str, wanted: Any) -> Any | None:
    """The first that a field of named values does not have."""
    named = values.startswith("'")
    return next((one for one in _each(wanted) if named and repr(one) not in values.split(" | ")), None)


def _each(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


RangeText = Annotated[str, AfterValidator(_range)]


class Entry(BaseModel):
    """One accepted divergence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    framework: Annotated[str, AfterValidator(_framework)]
    versions: RangeText
    packages: dict[str, RangeText] = Field(default_factory=dict)
    """Versions of packages underneath, where it takes those."""
    scenario: Annotated[str, AfterValidator(_glob)] = "*"
    """A shell pattern."""
    where: Annotated[dict[str, Any], AfterValidator(_fields)] = Field(default_factory=dict)
    """Values of fields by their dotted paths, which the scenario has; of several values, one of them."""
    code: Annotated[str, AfterValidator(_code)]
    cause: str = ""
    """Cause that must claim the finding, if one must."""
    sometimes: bool = False
    """Whether only some of these scenarios show it: a cell that does not is right."""
    sentence: str
    link: str

    def covers(self, cell: CellRecord, packages: Mapping[str, str], scenario: Scenario | None = None) -> bool:
        """Whether it is of this cell; `packages` are the versions that it ran with, the framework's among them."""
        wanted = {self.framework: self.versions, **self.packages}
        return (
            cell.framework == self.framework
            and fnmatch.fnmatchcase(cell.scenario, self.scenario)
            and all(_within(packages.get(name), versions) for name, versions in wanted.items())
            and self._met(scenario)
        )

    @property
    def told(self) -> str:
        """Of which scenarios it is, in a line."""
        fields = " and ".join(f"{path} = {value!r}" for path, value in self.where.items())
        return f"{self.scenario} with {fields}" if fields else self.scenario

    def _met(self, scenario: Scenario | None) -> bool:
        if not self.where or scenario is None:
            return not self.where
        has = {path: "none" if value is None else value for path, value, _ in fields_of(scenario)}
        return all(has[path] in _each(wanted) for path, wanted in self.where.items())

    def explains(self, cell: CellRecord) -> bool:
        """Whether what was found is what is accepted, as far as a cause is named."""
        return not self.cause or any(d.cause == self.cause and self.code in d.codes for d in cell.diagnoses)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accepted: tuple[Entry, ...] = ()


def _within(version: str | None, versions: str) -> bool:
    try:
        return version is not None and SpecifierSet(versions).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def load(path: Path = FILE) -> tuple[Entry, ...]:
    """Read a file of accepted divergences. Raises BadAccepted."""
    try:
        return tables.read(path, _File).accepted
    except tables.BadTable as error:
        raise BadAccepted(str(error)) from None


def apply(
    cell: CellRecord,
    packages: Mapping[str, str],
    entries: Sequence[Entry],
    scenario: Scenario | None = None,
    patched: bool = False,
) -> CellRecord:
    """The cell as it is once what is accepted is taken into account, and nothing else was before. Only a judged cell
    changes.

    `scenario`: the cell's own; without it entries that ask for values of fields cover nothing.
    `patched`: what the user's own change has mended is still to be found in the release as it is.
    """
    if cell.verdict not in ("pass", "fail", "accepted"):
        return cell
    cell = _without(cell)
    mine = [entry for entry in entries if entry.covers(cell, packages, scenario)]
    found = {finding.code for finding in cell.findings}
    if gone := [entry for entry in mine if entry.code not in found and not (patched or entry.sometimes)]:
        return cell.model_copy(update={"verdict": "fail", "findings": [*cell.findings, *map(_gone, gone)]})
    if found and found <= {entry.code for entry in mine if entry.explains(cell)}:
        return cell.model_copy(
            update={"verdict": "accepted", "reason": _reason([entry for entry in mine if entry.code in found])}
        )
    return cell


def _without(cell: CellRecord) -> CellRecord:
    """A judged cell as it was before any list of what is accepted."""
    findings = [finding for finding in cell.findings if finding.code != GONE]
    return cell.model_copy(update={"verdict": "fail" if findings else "pass", "findings": findings, "reason": None})


def _reason(entries: Sequence[Entry]) -> str:
    """Every sentence, and every link once."""
    by_link: dict[str, list[str]] = {}
    for entry in entries:
        by_link.setdefault(entry.link, []).append(entry.sentence)
    return "; ".join(f"{', '.join(dict.fromkeys(said))} ({link})" for link, said in by_link.items())


def _gone(entry: Entry) -> FindingRecord:
    return FindingRecord(
        code=GONE,
        message=f"{entry.code} is accepted for {entry.framework}{entry.versions} on {entry.told}, but was"
        " not found: if it is mended, take the entry out of accepted.toml or end its range of versions",
    )

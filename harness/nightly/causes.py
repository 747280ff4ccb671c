"""What is wrong in the cells of a night, by cause: one cause on one framework is one finding, on however many cells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from harness.judging.accepted import GONE
from harness.verdicts.verdict import CellRecord, DiagnosisRecord

_DROPPED = re.compile(r"(dropped-micro-batches): (\d+(?:, \d+)*) of (\d+)")


@dataclass(frozen=True)
class Sighting:
    """One cause on one framework in one run."""

    fingerprint: str
    framework: str
    cause: str
    cells: tuple[CellRecord, ...]

    @property
    def diagnosis(self) -> DiagnosisRecord | None:
        """Its words, from the first of its cells; None where no cause is known."""
        return next((d for d in self.cells[0].diagnoses if family(d.kind) == self.cause), None)


def causes(cell: CellRecord) -> tuple[str, ...]:
    """The kinds of a cell's diagnoses, each once, or the codes of its findings together where there is no diagnosis.

    That a known divergence is gone is a cause of its own.
    """
    codes = {finding.code for finding in cell.findings}
    undiagnosed = "; ".join(sorted(codes - {GONE}))
    kinds = [diagnosis.kind for diagnosis in cell.diagnoses] or ([undiagnosed] if undiagnosed else [])
    return tuple(dict.fromkeys([*kinds, *([GONE] if GONE in codes else [])]))


def tells(cell: CellRecord) -> bool:
    """Whether a cause that it does not name is not in it: it is right, known, or wrong in ways that have a name."""
    if cell.verdict != "fail":
        return cell.verdict in ("pass", "accepted")
    return bool(cell.diagnoses) or {finding.code for finding in cell.findings} == {GONE}


def family(kind: str) -> str:
    """A cause without the numbers that only depend on the scenario: micro-batches 1 and 2 of 4, and 1 of 3, are all
    but the first and the last."""
    match = _DROPPED.fullmatch(kind)
    if match is None:
        return kind
    lost, count = {int(number) for number in match[2].split(", ")}, int(match[3])
    ends = {"the first": 0, "the last": count - 1}
    kept = sorted(set(range(count)) - lost)
    if not kept or not set(kept) <= set(ends.values()):
        return kind
    return f"{match[1]}: all but {' and '.join(name for name, number in ends.items() if number in kept)}"


def fingerprint(framework: str, cause: str) -> str:
    """Twelve hex digits that stay over nights, releases and scenarios."""
    return hashlib.sha256(f"{framework}\n{cause}".encode()).hexdigest()[:12]


def sightings(cells: Iterable[CellRecord]) -> dict[str, Sighting]:
    """What is wrong, by fingerprint; only cells that fail count, for what is known is told elsewhere."""
    found: dict[tuple[str, str], list[CellRecord]] = {}
    for cell in cells:
        if cell.verdict == "fail":
            for cause in dict.fromkeys(map(family, causes(cell))):
                found.setdefault((cell.framework, cause), []).append(cell)
    made = (Sighting(fingerprint(*key), *key, tuple(own)) for key, own in found.items())
    return {sighting.fingerprint: sighting for sighting in made}


def own_version(cell_version: str) -> Version:
    """The framework's own release in a cell's version, which may name packages underneath. 0 where it is none."""
    try:
        return Version(cell_version.partition(",")[0])
    except InvalidVersion:
        return Version("0")


def is_underneath(cell_version: str) -> bool:
    """Whether it is of the environment with the newest packages underneath, rather than the recipe's own."""
    return "," in cell_version

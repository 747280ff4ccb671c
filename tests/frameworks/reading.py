"""What the tests of real releases ask of a cell."""

from __future__ import annotations

from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord


def finding(of: CellRecord, code: str) -> FindingRecord:
    """The first of that code, which must be there."""
    return next(f for f in of.findings if f.code == code)


def details(of: CellRecord, code: str) -> list[dict[str, object]]:
    """What only this code has, for each of its findings."""
    return [f.model_extra or {} for f in of.findings if f.code == code]


def causes(of: CellRecord) -> list[str]:
    return [d.cause for d in of.diagnoses]


def diagnosis(of: CellRecord, cause: str) -> DiagnosisRecord:
    """The one of that cause, which must be there."""
    return next(d for d in of.diagnoses if d.cause == cause)

"""Cells as nights see them."""

from __future__ import annotations

from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord, Outcome

DROPPED = "dropped-micro-batches: 1, 2 of 4"


def cell(
    *kinds: str,
    framework: str = "deepspeed",
    version: str = "0.19.8",
    scenario: str = "sft-ragged",
    verdict: Outcome | None = None,
    codes: tuple[str, ...] = (),
    environment: str | None = None,
) -> CellRecord:
    """A cell with those causes: a failing one if there are any, else a right one."""
    return CellRecord(
        framework=framework,
        version=version,
        scenario=scenario,
        verdict=verdict or ("fail" if kinds or codes else "pass"),
        diagnoses=[diagnosis(kind) for kind in kinds],
        findings=[FindingRecord(code=code, message=f"{code} is off") for code in codes],
        command=f"lockstep run --framework {framework}=={version} --scenario {scenario}",
        environment=environment,
        reason="it crashed" if verdict == "unknown" else None,
    )


def diagnosis(kind: str) -> DiagnosisRecord:
    cause = kind.partition(":")[0]
    return DiagnosisRecord(
        cause=cause, summary=f"{kind} is what it is", explains=1.0, codes=[], evidence="weights", kind=kind
    )

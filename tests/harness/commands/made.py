"""Folders for commands to read, made without any framework."""

from __future__ import annotations

from pathlib import Path

from harness.history.store import History
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord, GroupRecord, Verdict, ViewRecord


def whole(text: str) -> str:
    """As a cell has it: with whole characters."""
    return text.encode(errors="backslashreplace").decode()


_TOLD = ("cause", "summary", "evidence", "upstream", "remedy", "kind")


def cell(text: str, outcome: str = "fail", scenario: str | None = None, **changes: object) -> CellRecord:
    """A cell in which every text is `text`."""
    fields = {
        "framework": text,
        "version": text,
        "scenario": scenario or text,
        "verdict": outcome,
        "reason": None if outcome in ("fail", "pass") else text,
        "findings": [FindingRecord(code=text, message=text, tensor=text, observed=text, expected=text, step=0)],
        "diagnoses": [DiagnosisRecord(**dict.fromkeys(_TOLD, text), explains=0.5, codes=[text])],
        "command": text,
        "environment": text,
        "scenario_hash": text,
    }
    return CellRecord.model_validate({**fields, **changes})


def run(folder: Path, text: str) -> Path:
    """The folder of a run with a cell of every outcome, and views, in which every text is `text`."""
    text = whole(text)  # views are made from cells
    outcomes = ("fail", "unknown", "accepted", "unsupported", "pass")
    cells = [cell(text, outcome, scenario=f"{i} {text}") for i, outcome in enumerate(outcomes)]
    groups = [GroupRecord(members=[text, c.name], votes=1, side="wrong") for c in cells[:2]]
    views = [
        ViewRecord(scenario=text, reason=text),
        ViewRecord(scenario=text, groups=groups, majority=0, inputs=[[text], [text, text]], left_out=[text]),
        ViewRecord(scenario=text, groups=groups[:1]),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    verdict.write(Verdict(lockstep=text, cells=cells, views=views, complete=True), folder)
    return folder


def history(path: Path, text: str) -> Path:
    kept = History.open(path)
    for outcome in ("fail", "unknown", "pass", "accepted", "unsupported"):
        for version in (text, f"1.0 {text}"):
            kept.add(cell(text, outcome, version=version))
    return path

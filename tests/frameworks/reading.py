"""What the tests of real releases ask of a cell."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.contract import END, HEADER
from harness.judging.diagnosis import upstream
from harness.judging.diagnosis.upstream import UpstreamCause
from harness.judging.judge import judge
from harness.traces import text_files
from harness.verdicts.findings import Diagnosis
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord
from tests.frameworks.command import Run


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


def sealed(trace: Path) -> dict[str, str]:
    """The digest of every file of a trace that is whole, but for those that no two runs have alike: the header, which
    says when and where it was made, and how much memory it took."""
    files: dict[str, str] = json.loads((trace / END).read_text())["files"]
    return {name: digest for name, digest in files.items() if name != HEADER and not name.startswith("memory-")}


def applies(known: UpstreamCause, trace: Path) -> bool:
    """Whether what is known upstream is to be found in that trace, by its releases and its scenario."""
    header, scenario = text_files.header(trace)
    as_measured = Diagnosis(known.cause, "", 1.0, (), "", measured=known.measured or ())
    return known.fits(upstream.of_scenario(header, scenario), as_measured)


def assert_weights_of_formula(run: Run, name: str, tolerance: float) -> None:
    """The cell passes, and no token that can be told weighs something else, as a share of the largest right weight."""
    found = run.cell(name)
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])
    for step in judge(run.trace(found.name)).steps:
        right = step.right.slot_weights * step.right.clip * step.right.targets
        off = (step.tokens.slots - right)[step.tokens.told].abs().max()
        assert float(off) <= tolerance * float(right.abs().max())

"""Causes that stand in what the model received."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.diagnosis.wording import of_codes
from harness.verdicts.findings import Diagnosis, Finding

_INPUTS = {
    "inputs.batch": ("batch-composition", "the optimizer step was made of other rows than it should: {0}"),
    "inputs.token-ids": ("tokenization", "the framework made other tokens of the scenario's text: {0}"),
    "inputs.loss-mask": ("loss-mask", "the framework marked other tokens for training than it should: {0}"),
    "inputs.positions": ("positions", "positions do not restart with each packed conversation: {0}"),
    "inputs.attention": ("attention-leak", "conversations packed in one sequence can attend to each other: {0}"),
}


def diagnoses(findings: Sequence[Finding]) -> list[Diagnosis]:
    """One for each kind of input that is not the scenario's."""
    result = []
    for code, (cause, sentence) in _INPUTS.items():
        if own := of_codes(findings, code):
            codes = (code, "weights.residual") if cause == "attention-leak" else (code,)
            told = f"{len(own)} findings"
            kind = f"{cause}: {_rows(own[0])}" if code == "inputs.batch" else cause
            if altered := own[0].detail.get("altered"):
                kind = f"{cause}: {altered}"
            result.append(Diagnosis(cause, sentence.format(own[0].message), 1.0, codes, told, kind=kind))
    return result


def _rows(finding: Finding) -> str:
    """How a batch is wrong. Which rows it is would differ between any two orders of them."""
    missing, extra = finding.detail["missing"], finding.detail["extra"]
    return ("other rows" if extra else "rows missing") if missing else "rows added"

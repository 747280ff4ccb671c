"""Causes that stand in what a run began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.judging.diagnosis.wording import of_codes
from harness.judging.initial import CODE
from harness.verdicts.findings import Diagnosis, Finding

_SENTENCES: Mapping[str, str] = {
    "factor": "the training began with the checkpoint's parameters times {factor}",
    "rounded": "the checkpoint's parameters were rounded to bfloat16 as they were loaded",
    "anew": "{who} did not come from the checkpoint, but began with other values",
    "otherwise": "{who} changed between the checkpoint and the first step",
}


def diagnoses(findings: Sequence[Finding]) -> list[Diagnosis]:
    """One for each way in which the first parameters differ."""
    return [_diagnosis(finding) for finding in of_codes(findings, CODE)]


def stepped(findings: Sequence[Finding]) -> Diagnosis | None:
    """The one cause of everything, where an optimizer that holds squares made a step before the training: it went into
    them, and every update after it is made with them."""
    first = next((f for f in of_codes(findings, CODE) if f.detail["how"] == "stepped"), None)
    if first is None:
        return None
    sentence = (
        "weight decay was applied once before the training, as by an optimizer step with a zero gradient:"
        f" {len(first.detail['tensors'])} tensors began a whole step away from the checkpoint's, and the squares hold"
        " that step; what the steps then made is not judged"
    )
    codes = tuple(dict.fromkeys(f.code for f in findings))
    return Diagnosis("decayed-before-training", sentence, 1.0, codes, first.message)


def _diagnosis(finding: Finding) -> Diagnosis:
    how, tensors, factor = (finding.detail[key] for key in ("how", "tensors", "factor"))
    steps = "; what the steps then made of them is judged by itself"
    if how == "decayed":
        sentence = (
            "weight decay was applied once before the training, as by an optimizer step with a zero gradient:"
            f" {len(tensors)} tensors began as {factor} times the checkpoint's"
        )
        return Diagnosis("decayed-before-training", f"{sentence}{steps}", 1.0, (CODE,), finding.message)
    who = tensors[0] if len(tensors) == 1 else f"{len(tensors)} tensors, {finding.tensor} among them,"
    sentence = _SENTENCES[how].format(who=who, factor=factor)
    return Diagnosis(
        "initial-weights", f"{sentence}{steps}", 1.0, (CODE,), finding.message, kind=f"initial-weights: {how}"
    )

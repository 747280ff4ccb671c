"""Noise of the embedding (NEFTune) that is missing, of another size, the same over and over, or not asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.judging.diagnosis.wording import at_steps, of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding

CODE = "inputs.noise"

_SIZE = "the noise that is added to the embedding is not uniform within alpha / sqrt(length x hidden size)"

_WAYS: Mapping[str, tuple[str, str]] = {
    "unasked": ("noise is added to what the embedding gives, though none is asked for", "unasked"),
    "missing": ("no noise is added to what the embedding gives, though it is asked for", "missing"),
    "batch": (f"{_SIZE}: it is divided by the root of all tokens of the micro-batch", "of the whole micro-batch"),
    "width": (f"{_SIZE}: it is not divided by the root of the length", "length left out"),
    "undivided": (f"{_SIZE}: it is not divided, but within alpha", "undivided"),
    "mean": (f"{_SIZE}: its mean is not 0", "mean"),
    "otherwise": (_SIZE, "another size"),
    "repeated": ("the noise that is added to the embedding is the same in every micro-batch", "repeated"),
}
"""By what an `inputs.noise` finding says."""


def diagnoses(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    """What is wrong with it, as the first finding says."""
    own = of_codes(findings, CODE)
    if not own:
        return []
    sentence, kind = _WAYS[own[0].detail["what"]]
    line = f"{own[0].message}; {at_steps([f.step for f in own], len(evidence))}"
    return [Diagnosis("noise", sentence, 1.0, (CODE,), line, kind=f"noise: {kind}")]

"""Causes that stand in what moves: parameters that should stay as they are, and some that should not."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.judging.diagnosis.wording import at_steps, of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle import other_models, whole
from harness.oracle.architectures import FORWARD, lora
from harness.oracle.clipping import clip_coefficient
from harness.verdicts.findings import Diagnosis, Finding

CODE = "state.frozen"
ALIKE = 1e-4
"""Relative distance from the update that low-rank matrices make."""


def still(evidence: Sequence[StepEvidence]) -> frozenset[str]:
    """Tensors that have no gradient in some step, though they should, where nothing else explains that step."""
    return frozenset(
        name for e in evidence if e.other_model is not None for name in other_models.tensors(e.other_model)
    )


def diagnoses(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    """One at most, for parameters that moved and should not have."""
    own = of_codes(findings, CODE)
    if not own:
        return []
    first = next(e for e in evidence if e.step == own[0].step)
    line = f"{own[0].message}; {at_steps([f.step for f in own], len(evidence))}"
    if _merged(first):
        sentence = "low-rank updates were added to the matrices that they belong to, and left there: they count twice"
        return [Diagnosis("frozen-moved", sentence, 1.0, (CODE,), line, kind="frozen-moved: merged")]
    sentence = "parameters that are not to be trained are trained with the others"
    if not (taken := explained(evidence, findings)):
        return [Diagnosis("frozen-moved", sentence, 1.0, (CODE,), line, kind="frozen-moved: trained")]
    counted = f"{sentence}, and their gradients count when the norm is clipped"
    return [Diagnosis("frozen-moved", counted, 1.0, (CODE, *sorted(taken)), line, kind="frozen-moved: trained")]


def nothing(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Diagnosis | None:
    """The one cause of everything, where no step gave the optimizer a gradient and none moved a parameter."""
    recorded = [e.recorded for e in evidence]
    if not findings or not all(r.still and not bool(r.moments.first.any()) for r in recorded):
        return None
    sentence = (
        "nothing is trained: the optimizer got no gradient in any step, as one that holds the parameters of before the"
        " model was wrapped or sharded"
    )
    codes = tuple(dict.fromkeys(f.code for f in findings))
    line = f"no moment is other than 0, and no parameter moved; {at_steps([r.number for r in recorded], len(recorded))}"
    return Diagnosis("nothing-trained", sentence, 1.0, codes, line)


def explained(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> frozenset[str]:
    """Codes of findings that follow from a norm which counts the gradients of what should not be trained."""
    codes = {f.code for f in findings} & {"weights.scale", "update.clip"}
    if not codes or not of_codes(findings, CODE) or not all(map(_clipped_by_all, evidence)):
        return frozenset()
    return frozenset(codes)


def _clipped_by_all(e: StepEvidence) -> bool:
    limit = e.right.intent.max_grad_norm
    if limit is None or e.right.model.architecture not in FORWARD:
        return False
    norms = whole.norms(e.right, e.recorded.before.parameters)
    expected = clip_coefficient(norms.whole, limit) * norms.trained
    return abs(e.norm_used / expected - 1) <= max(e.floor.tolerance("norm"), e.floor.tolerance("row"))


def _merged(e: StepEvidence) -> bool:
    """Whether every parameter that moved did so by just what the low-rank matrices make after the step."""
    after = {name: state.after for name, state in e.recorded.states.items()}
    if e.right.model.lora is None or not e.recorded.frozen_moved:
        return False
    for name, moved in e.recorded.frozen_moved.items():
        nothing = torch.zeros_like(moved)
        made = lora.merged({**after, name: nothing}, e.right.model.lora)[name]
        if not float((moved - made).norm()) <= ALIKE * float(moved.norm()):
            return False
    return True

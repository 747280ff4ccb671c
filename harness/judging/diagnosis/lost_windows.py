"""Windows of whose gradient nothing reached the optimizer, though it made their steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from harness.judging.diagnosis.wording import at_steps
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding

EMPTY = "; a micro-batch of it has nothing to train, whose own mean is 0 / 0"


class Lost(NamedTuple):
    """The cause, and the steps whose findings all follow from it."""

    diagnosis: Diagnosis
    steps: frozenset[int]


def found(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Lost | None:
    """Steps with a gradient of zero where the right one is none, unless all steps are such."""
    lost = [e for e in evidence if e.norm_used <= e.floor.tolerance("residual") * e.norm_right * e.clip_expected]
    steps = frozenset(e.step for e in lost)
    own = [f for f in findings if f.step in steps]
    if not own or len(lost) == len(evidence):
        return None
    why = EMPTY if all(map(_empty, lost)) else ""
    sentence = f"the optimizer made a step with a gradient of zero: nothing of the whole window reached it{why}"
    codes = tuple(dict.fromkeys(f.code for f in own))
    first = lost[0]
    line = (
        f"the gradient of step {first.step} has a norm of {first.norm_used:.3g}, expected"
        f" {first.norm_right * first.clip_expected:.3g}; {at_steps(sorted(steps), len(evidence))}"
    )
    kind = f"dropped-micro-batches: whole window{', of an empty one' * bool(why)}"
    return Lost(Diagnosis("dropped-micro-batches", sentence, 1.0, codes, line, kind=kind), steps)


def _empty(e: StepEvidence) -> bool:
    """Whether a micro-batch of the step has nothing to train."""
    targets = Counter[tuple[int, int]]()
    for c in e.right.conversations:
        targets[c.place] += c.targets
    return 0 in targets.values()

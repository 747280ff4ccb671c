"""Which steps of a run in float16 had to be skipped, because their scaled gradient is beyond what float16 can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harness.intent.intent import Intent
from harness.judging.evidence import StepEvidence, right_of, steps_of
from harness.judging.weigher import Weigher
from harness.oracle.architectures import FORWARD
from harness.oracle.step import RightStep
from harness.traces.reader import Trace
from harness.verdicts.findings import Diagnosis, Finding
from scenarios import weights

LARGEST = float(torch.finfo(torch.float16).max)

CERTAIN = 1.02
"""Times what float16 holds: rounding to float16 on the way moves an element by some thousandths."""
SAFE = 1 / 64
"""Times what float16 holds: below, nothing overflows, not even in a gradient that is too long by the accumulation times
the ranks. What flows back between the layers is not looked at, only the gradients of the matrices, which are sums of it
over a micro-batch's tokens."""

_FOLLOWS = ("weights.", "update.", "grad-norm.", "numerics.dtype")
"""Codes of what is said of a step that was made of a gradient which had overflowed."""
_OF_ROUNDING = ("update.learning-rate", "update.weight-decay", "update.moments", "learning-rate.value")
"""Codes of what is said of an update that was rounded."""


@dataclass(frozen=True)
class Scaled:
    """One step of a run with loss scaling."""

    number: int
    scale: float
    """What the loss was multiplied by."""
    largest: float
    """Of the elements of any matrix's gradient by any one micro-batch on its rank, scaled."""
    skipped: bool
    """Whether it changed nothing."""

    @property
    def must(self) -> bool:
        """Whether it had to be skipped."""
        return self.largest > CERTAIN * LARGEST

    @property
    def must_not(self) -> bool:
        return self.largest < SAFE * LARGEST


def gather(trace: Trace, intent: Intent, by: Weigher) -> tuple[Scaled, ...]:
    """Every step of a run with loss scaling; none of another run, or of a model that the oracle has no forward pass of.

    The scale halves with every step that is skipped, and does not grow within the few steps of a run.
    """
    if intent.loss_scale is None or intent.precision != "fp16" or trace.scenario.model.architecture not in FORWARD:
        return ()
    found = []
    for step in steps_of(trace, every=True):
        scale = intent.loss_scale / 2.0**step.skipped
        largest = scale * _largest(right_of(trace, intent, step, by), intent)
        found.append(Scaled(step.number, scale, largest, step.still))
    return tuple(found)


def _largest(right: RightStep, intent: Intent) -> float:
    """Of the gradient that any micro-batch has on its rank, before the mean over ranks divides it: of all matrices but
    embeddings, which are not multiplied with anything."""
    places, matrices = right.places, _matrices(right)
    result = 0.0
    for rank, number in sorted(set(zip(places.rank.tolist(), places.micro_batch.tolist(), strict=True))):
        there = (places.rank == rank) & (places.micro_batch == number)
        local = right.basis.gradient(right.by_column(right.slot_weights * there * intent.ranks))
        result = max(result, float(local[matrices].abs().max()))
    return result


def _matrices(right: RightStep) -> torch.Tensor:
    """Bool [trained parameters]: elements of matrices that are multiplied with activations."""
    shapes, vocabulary = weights.shapes(right.model), right.model.vocab_size
    head = "lm_head.weight"
    flags = [
        torch.full((shape.numel(),), len(shape) == 2 and (name == head or shape[0] != vocabulary))
        for name, shape in sorted((n, torch.Size(s)) for n, s in shapes.items() if right.model.trains(n))
    ]
    return torch.cat(flags)


def findings(steps: Sequence[Scaled], evidence: Sequence[StepEvidence]) -> list[Finding]:
    """`update.overflow`: a step that overflowed and was made all the same, or one that was skipped in vain.

    A step whose gradient the tokens explain, however they are weighed, has not overflowed: a wrong one may be shorter.
    """
    odd = {e.step for e in evidence if e.residual > e.floor.tolerance("residual") or not e.fit.excess <= 1.0}
    return [_finding(s) for s in steps if (s.must and s.number in odd) or (s.must_not and s.skipped)]


def _finding(s: Scaled) -> Finding:
    what = "was skipped, though nothing overflows" if s.skipped else "was made, though its gradient overflows"
    expected = f"below {SAFE:g} of" if s.skipped else "beyond"
    return Finding(
        "update.overflow",
        f"step {s.number} {what}: with the loss scaled by {s.scale:g} the largest element of a matrix's gradient is"
        f" {s.largest:.3g}, {expected} the {LARGEST:g} that float16 holds",
        step=s.number,
        observed=s.largest,
        expected=LARGEST,
        detail={"skipped": s.skipped, "scale": s.scale},
    )


def only(findings: Sequence[Finding]) -> list[Finding]:
    """Without what follows of a gradient that had overflowed, for it is none of any tokens; where a rank skipped such a
    step alone, that says all. Nor with what is said of an update that was rounded."""
    masters = [f for f in findings if f.code == "numerics.dtype" and f.detail.get("what") == "masters"]
    rounded = {f.step for f in masters if f.detail["all"]}
    in_part = {f.step: f.detail["tensors"] for f in masters}
    alone = {f.step for f in findings if f.code == "state.rank-desync" and f.detail.get("skipped")}
    void = {f.step for f in findings if f.code == "update.overflow" and not f.detail["skipped"]}

    def follows(f: Finding) -> bool:
        if f.code == "update.overflow":
            return f.step in alone
        if f.code in _OF_ROUNDING:
            told = f.detail.get("tensors") or ([f.tensor] if f.tensor else [])
            return f.step in rounded or bool(told and set(in_part.get(f.step, ())).issuperset(told)) or of_void(f)
        return of_void(f)

    def of_void(f: Finding) -> bool:
        return f.step in void and f.code.startswith(_FOLLOWS)

    return [f for f in findings if not follows(f)]


def diagnoses(findings: Sequence[Finding]) -> list[Diagnosis]:
    """One for steps that were made of an overflow, one for steps that were skipped in vain."""
    found = [f for f in findings if f.code == "update.overflow"]
    sentences = {
        False: ("updated", "a step whose gradient overflowed in float16 is made all the same"),
        True: ("skipped in vain", "steps are skipped though no gradient overflows in float16"),
    }
    return [
        Diagnosis("loss-scaling", sentence, 1.0, ("update.overflow",), own[0].message, kind=f"loss-scaling: {kind}")
        for skipped, (kind, sentence) in sentences.items()
        if (own := [f for f in found if f.detail["skipped"] == skipped])
    ]

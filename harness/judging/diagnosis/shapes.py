"""Whether what is lost of a gradient is what a graph that was compiled for other lengths would lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.judging.evidence import StepEvidence
from harness.oracle import hypotheses, pieces
from harness.oracle.weighing import Place, weighing
from harness.verdicts.findings import Diagnosis

CUT = "loss-mask: cut off"


def renamed(found: Sequence[Diagnosis], evidence: Sequence[StepEvidence]) -> list[Diagnosis]:
    """The causes found, with those named that the lengths of the first micro-batches tell."""
    return [_named(d, evidence) for d in found]


def _named(d: Diagnosis, evidence: Sequence[StepEvidence]) -> Diagnosis:
    if d.kind == CUT and _by_first_length(evidence):
        summary = (
            "what lies behind the length of a rank's first micro-batch is not trained in any other, as by a graph that"
            " was compiled for that length"
        )
        return replace(d, cause="first-shape", summary=summary, kind="first-shape", measured=("first-shape",))
    if d.cause == "dropped-micro-batches" and _at_recompile(evidence):
        summary = f"{d.summary}: it is the first of another length, at which the model is compiled again"
        kind = "dropped-micro-batches: at a recompile"
        return replace(d, summary=summary, kind=kind, measured=("at a recompile",))
    return d


def _by_first_length(evidence: Sequence[StepEvidence]) -> bool:
    first = evidence[0].right
    if first.number != 0:
        return False
    lengths = tuple(_width(evidence[0], (rank, 0)) for rank in range(first.intent.ranks))
    cut = [e for e in evidence if e.fit.hypothesis.pieces is not None]
    return all(_cuts(e, lengths) for e in cut)


def _cuts(e: StepEvidence, lengths: tuple[int, ...]) -> bool:
    """Whether a step is cut off at those lengths as well as at those that were found."""
    w, found = weighing(e.right, e.floor, e.observed.terms), e.fit.hypothesis.pieces
    assert found is not None
    wanted = replace(found, lengths=lengths)
    return found.kind == wanted.kind == "cut off" and bool(
        (pieces.weights(w, found) == pieces.weights(w, wanted)).all()
    )


def _at_recompile(evidence: Sequence[StepEvidence]) -> bool:
    """Whether all that is dropped in the whole run is each rank's first micro-batch of another length."""
    scenario, first = evidence[0].scenario, evidence[0].right
    dropping = [e for e in evidence if e.fit.hypothesis.dropped]
    if scenario is None or scenario.model.compiled == "none" or first.number != 0 or dropping != [evidence[0]]:
        return False
    again: set[Place] = set()
    for rank in range(first.intent.ranks):
        widths = [_width(evidence[0], (rank, number)) for number in range(first.micro_batches)]
        other = next((number for number, width in enumerate(widths) if width != widths[0]), None)
        again |= set() if other is None else {(rank, other)}
    told = hypotheses.weighing_places(weighing(first, evidence[0].floor))
    return evidence[0].fit.hypothesis.dropped == again & told


def _width(e: StepEvidence, place: Place) -> int:
    return pieces.width([c for c in e.right.conversations if c.place == place])

"""Rows that are lost or come twice where a framework packs them into sequences; sequences and steps of other sizes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.judging.diagnosis.wording import at_steps, listed, of_codes
from harness.judging.evidence import StepEvidence
from harness.verdicts.findings import Diagnosis, Finding


class Way(NamedTuple):
    """What is wrong with what is packed."""

    sentence: str
    telling: str


_WAYS: Mapping[tuple[bool, bool], Way] = {
    (True, False): Way("row{s} {lost} {are} in no sequence that rows are packed into, and never trained", "rows lost"),
    (False, True): Way("row{s} {again} {are} packed into sequences more than once", "rows doubled"),
    (True, True): Way("row{s} {again} {are} packed more than once, in the place of {lost}", "other rows"),
}
"""By whether rows are lost, and whether any come too often."""


def packed(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Diagnosis | None:
    """Which rows came less often, or more often, than most did; None where nothing is packed by choice."""
    own, scenario = of_codes(findings, "inputs.batch"), evidence[0].scenario
    if not own or scenario is None or scenario.data.packed_length is None:
        return None
    had = Counter(c.row for e in evidence for c in e.right.conversations if c.row is not None)
    every = range(len(scenario.data.rows))
    most = statistics.mode(had[row] for row in every)
    named = {row for f in own for row in (*f.detail["missing"], *f.detail["extra"])}
    lost = [row for row in every if had[row] < most and row in named]
    again = [row for row in every if had[row] > most and row in named]
    if (way := _WAYS.get((bool(lost), bool(again)))) is None:
        return None
    several = len(again or lost) > 1
    words = {"s": "s" * several, "are": "are" if several else "is"}
    lists = {"lost": listed(lost) if lost else "", "again": listed(again) if again else ""}
    line = f"{own[0].message}; {at_steps([f.step for f in own], len(evidence))}"
    sentence = way.sentence.format(**words, **lists)
    return Diagnosis("packing", sentence, 1.0, ("inputs.batch",), line, kind=f"packing: {way.telling}")


_SHAPES = {
    "room": ("rows are packed into longer sequences than they may be", "longer than the room"),
    "tokens": ("a micro-batch has more tokens than it may have", "more tokens"),
    "window": ("a step has more or fewer packed sequences than its window says", "other windows"),
}
"""By what an `inputs.packing` finding says."""


def shaped(findings: Sequence[Finding]) -> list[Diagnosis]:
    """What is wrong with the sizes of sequences, else of steps."""
    own = of_codes(findings, "inputs.packing")
    if not own:
        return []
    first = next((f for f in own if f.detail["what"] == "room"), own[0])
    sentence, kind = _SHAPES[first.detail["what"]]
    return [Diagnosis("packing", sentence, 1.0, ("inputs.packing",), first.message, kind=f"packing: {kind}")]

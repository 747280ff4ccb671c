"""Are rows that are to be shuffled shuffled, and anew in each epoch? Do they come by length, where they are to?"""

from __future__ import annotations

import math
from collections import Counter

from harness.intent.intent import Drawn
from harness.judging import grouping
from harness.judging.evidence import Received
from harness.verdicts.findings import Finding

UNLIKELY = 10_000
"""Orders of which one must be drawn before another one of them means anything."""


TOLD = 8
"""Rows that a message names."""


def order(evidence: Received) -> list[Finding]:
    """`inputs.order`: an order that is to be drawn is the given one, or that of the epoch before; one by length is
    none."""
    intent = evidence.intent
    if intent.drawn is None or intent.drawn.free or intent.windows is None:
        return []
    if any(c.row is None for c in evidence.conversations):  # in whose places rows stand that never came
        return []
    rows = [row for step in range(evidence.step + 1) for row in intent.rows(step) or ()]
    begins = intent.drawn.begun(len(rows))
    epoch, own = len(begins) - 1, rows[begins[-1] :]
    if not _telling(evidence, intent.drawn, own):
        return _grouped(evidence)
    if epoch and intent.drawn.anew and rows[begins[-2] :][: len(own)] == own:
        return [_finding(evidence, "repeated", f"in the order of the epoch before (epoch {epoch})")]
    if not epoch and own[: intent.drawn.rows] == list(range(min(len(own), intent.drawn.rows))):
        return [_finding(evidence, "given", "in the given order, which is to be drawn")]
    return _grouped(evidence)


def _grouped(evidence: Received) -> list[Finding]:
    """Of the first step whose rows no sampler by length would have given; where other rows came, that is told."""
    intent, scenario, step = evidence.intent, evidence.scenario, evidence.step
    if scenario is None or intent.drawn is None or not intent.drawn.grouped:
        return []
    if Counter(c.row for c in evidence.conversations) != Counter(intent.rows(step) or ()):
        return []
    if grouping.kept(intent, scenario, step + 1) or not grouping.kept(intent, scenario, step):
        return []
    return [_finding(evidence, "ungrouped", "in no order by length, in which they are to be grouped")]


def _telling(evidence: Received, drawn: Drawn, rows: list[int]) -> bool:
    """Whether so many rows have too many orders for one to come by chance; where rows are packed as the framework
    chooses, it is sequences that are drawn."""
    scenario = evidence.scenario
    if scenario is not None and scenario.data.packed_length is not None:
        places = {(c.rank, c.micro_batch, c.sequence) for c in evidence.conversations}
        places = {(c.rank, c.micro_batch, c.sequence) for c in evidence.conversations}
        return math.factorial(len(places) * (evidence.step + 1)) >= UNLIKELY
    return math.perm(drawn.rows, min(len(rows), drawn.rows)) >= UNLIKELY


def _finding(evidence: Received, how: str, said: str) -> Finding:
    every = evidence.intent.rows(evidence.step) or ()
    rows = ", ".join(map(str, every[:TOLD])) + ", ..." * (len(every) > TOLD)
    message = f"the rows of step {evidence.step} come {said}: {rows}"
    return Finding("inputs.order", message, step=evidence.step, detail={"order": how})

"""A recording held against what was wanted of its tokens' weights against each other, whatever else it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.intent.file import BadIntent
from harness.intent.intent import Aggregation, Given, Mean
from harness.intent.words import told as words
from harness.oracle import factors, hypotheses, levels
from harness.oracle.hypotheses import Fit
from harness.recordings import telling, weighing
from harness.recordings.reader import Recording
from harness.recordings.telling import Told
from harness.recordings.weighing import Unweighable, WeighedStep
from harness.verdicts.findings import Finding


def by_aggregation(recording: Recording, wanted: Aggregation) -> Told:
    """What `telling.tell` says, and a finding for every step whose tokens weigh otherwise against each other.

    A limit of clipping is not asked about, nor is a factor on the whole gradient that nobody has a name for. Raises
    BadIntent for weights that are given for the rows of a scenario, which no recording has.
    """
    if isinstance(wanted, Given):
        raise BadIntent("the intent gives weights to rows of a scenario, and a recording does not say which it has")
    described = telling.tell(recording)
    findings = [f for step in _weighed(recording) for f in _otherwise(step, wanted)]
    return replace(described, findings=(*findings, *described.findings))


def _weighed(recording: Recording) -> Iterator[WeighedStep]:
    for number in recording.steps:
        try:
            yield weighing.weigh(recording, number)
        except Unweighable:  # which is told as unknown
            continue


def fit(step: WeighedStep, wanted: Aggregation) -> Fit:
    """The simplest way to weigh that explains a step, if losses should be aggregated so."""
    right = replace(step.right, intent=replace(step.right.intent, aggregation=wanted))
    return hypotheses.explain(right, step.solved.weights, step.floor)


def _otherwise(step: WeighedStep, wanted: Aggregation) -> list[Finding]:
    found = fit(step, wanted)
    if step.residual > weighing.UNEXPLAINED or not found.excess <= 1.0:
        return []  # a finding already, whatever is wanted
    h = found.hypothesis
    if h.level != levels.INTENDED:
        actual = words(Mean(h.level))
    elif h.scale.name in factors.DIVISORS:
        actual = h.scale.name
    else:
        return []
    message = f"step {step.number}: {actual}; wanted is {words(wanted)}"
    return [Finding("weights.aggregation", message, step.number, detail={"scale": h.scale.factor})]

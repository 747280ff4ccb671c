"""From findings and evidence to causes: few sentences that explain many findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.judging import overflow
from harness.judging.diagnosis import (
    auxiliary,
    epochs,
    held_squares,
    initial,
    inputs,
    lost_windows,
    mixtures,
    momentum,
    noise,
    packing,
    per_shard,
    reported,
    residual,
    resume,
    shapes,
    token_weight,
    untrained,
    update,
    upstream,
    weights,
)
from harness.judging.evidence import StepEvidence
from harness.judging.initial import CODE
from harness.traces.text_files import Header
from harness.verdicts.findings import Diagnosis, Finding


def diagnose(header: Header, evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    """Causes in the order in which a step applies them; every finding belongs to at least one."""
    if (stepped := initial.stepped(findings)) is not None:
        return (_with_upstream(stepped, header, evidence),)
    # What a run began with is of no step, and follows from nothing that the steps did.
    begun = tuple(_with_upstream(d, header, evidence) for d in initial.diagnoses(findings))
    return (*begun, *_of_run(header, evidence, [f for f in findings if f.code != CODE]))


def _of_run(header: Header, evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    resumed = resume.found(evidence, findings)
    if resumed is not None:
        first = evidence[0].scenario.window.resume_after if evidence[0].scenario else 0
        rest = [f for f in findings if not resumed.claims(f, first)]
        others = [e for e in evidence if e.step not in resumed.steps]
        return (
            _with_upstream(resumed.diagnosis, header, evidence),
            *(_of_steps(header, others, rest) if rest and others else ()),
        )
    lost = lost_windows.found(evidence, findings)
    if lost is not None:
        rest = [f for f in findings if f.step not in lost.steps]
        others = [e for e in evidence if e.step not in lost.steps]
        return (
            _with_upstream(lost.diagnosis, header, evidence),
            *(_of_steps(header, others, rest) if rest and others else ()),
        )
    kept = momentum.found(evidence, findings) or held_squares.found(evidence, findings)
    if kept is not None:
        rest = [f for f in findings if not kept.claims(f)]
        return (kept.diagnosis, *(_of_steps(header, evidence, rest, kept.codes) if rest else ()))
    return _of_steps(header, evidence, findings)


def _of_steps(
    header: Header,
    evidence: Sequence[StepEvidence],
    findings: Sequence[Finding],
    taken: frozenset[str] = frozenset(),
) -> tuple[Diagnosis, ...]:
    """`taken`: codes of findings that another cause explains, and that are not among these."""
    if (nothing := untrained.nothing(evidence, findings)) is not None:
        return (_with_upstream(nothing, header, evidence),)
    if (apart := update.replicas(evidence, findings)) is not None:
        return (_with_upstream(apart, header, evidence),)
    taken = taken | untrained.explained(evidence, findings)
    at_end = epochs.at_end(evidence, findings)
    if at_end is not None and at_end.kind == epochs.CARRIED:
        # What is found of weights and reports follows from two windows in one step.
        return (replace(at_end, codes=tuple(dict.fromkeys(f.code for f in findings))),)
    of_rows = at_end or packing.packed(evidence, findings) or mixtures.found(evidence, findings)
    found = [
        *([] if of_rows is None else [of_rows]),
        *noise.diagnoses(evidence, findings),
        *packing.shaped(findings),
        *epochs.of_order(findings),
        *inputs.diagnoses([f for f in findings if of_rows is None or f.code not in of_rows.codes]),
        *untrained.diagnoses(evidence, findings),
        *_of_weights(
            evidence,
            _without(taken, per_shard.renamed(weights.diagnoses(evidence, {f.code for f in findings}), evidence)),
        ),
        *auxiliary.diagnoses(evidence, findings),
        *residual.diagnoses(evidence, findings),
        *update.diagnoses(evidence, findings),
        *overflow.diagnoses(findings),
        *update.of_ranks(findings),
    ]
    found = reported.with_reported(_once(found), evidence, findings)
    return tuple(_with_upstream(d, header, evidence) for d in found)


def _of_weights(evidence: Sequence[StepEvidence], found: Sequence[Diagnosis]) -> list[Diagnosis]:
    return shapes.renamed(token_weight.renamed(found, evidence), evidence)


def _without(taken: frozenset[str], found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Those that explain more than findings of these codes, which another cause explains."""
    return [d for d in found if not taken.issuperset(d.codes)]


def _once(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """A cause that the inputs already show is not told again. What the weights say of its kind is kept, and so are the
    findings that follow from it."""
    first: dict[str, Diagnosis] = {}
    for d in found:
        seen = first.get(d.cause)
        first[d.cause] = d if seen is None else _merged(seen, d)
    return list(first.values())


def _merged(seen: Diagnosis, again: Diagnosis) -> Diagnosis:
    codes = tuple(dict.fromkeys((*seen.codes, *again.codes)))
    if seen.kind != seen.cause:
        return replace(seen, codes=codes)
    return replace(seen, codes=codes, kind=again.kind, measured=again.measured)


def _with_upstream(d: Diagnosis, header: Header, evidence: Sequence[StepEvidence]) -> Diagnosis:
    scenario = evidence[0].scenario
    known = None if scenario is None else upstream.find(upstream.of_scenario(header, scenario), d)
    return d if known is None else replace(d, upstream=known.sentence, remedy=known.remedy)

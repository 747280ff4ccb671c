"""Causes of wrong reported numbers: what else was found, a factor that clipping hides, or the report alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.judging.diagnosis import per_shard
from harness.judging.diagnosis.weights import names, short
from harness.judging.diagnosis.wording import fraction, of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle import factors, hypotheses
from harness.verdicts.findings import Diagnosis, Finding

NAMES = {"loss.value": "loss", "grad-norm.value": "gradient norm", "learning-rate.value": "learning rate"}

Cause = Literal["hidden", "found", "misreported"]


@dataclass(frozen=True)
class _Case:
    """What decides why a reported number is wrong."""

    found: Sequence[Diagnosis]
    """Causes in inputs, weights or update."""
    hidden: Diagnosis | None
    """A factor on the gradient that clipping hides, and that the reported norms show."""


@dataclass(frozen=True)
class _Row:
    """A cause, with the codes that it may explain, and when it does."""

    codes: frozenset[str]
    holds: Callable[[_Case], bool]
    cause: Cause


_TABLE = (
    _Row(frozenset({"grad-norm.value"}), lambda case: case.hidden is not None, "hidden"),
    _Row(
        frozenset({"loss.value"}), lambda case: case.hidden is not None and "loss.value" in case.hidden.codes, "hidden"
    ),
    # A wrong learning rate does not follow from those: it is held against the one that the parameters moved with.
    _Row(frozenset({"loss.value", "grad-norm.value"}), lambda case: bool(case.found), "found"),
    _Row(frozenset(NAMES), lambda _: True, "misreported"),
)
"""For each code the first row that holds is its cause."""


def with_reported(
    found: Sequence[Diagnosis], evidence: Sequence[StepEvidence], findings: Sequence[Finding]
) -> list[Diagnosis]:
    """The causes found so far and, for each wrong reported number, the one that it belongs to."""
    wrong = of_codes(findings, *NAMES)
    hidden = _hidden_scale(evidence) if of_codes(wrong, "grad-norm.value") else None
    case = _Case(found, hidden)
    causes = {f.code: next(row.cause for row in _TABLE if f.code in row.codes and row.holds(case)) for f in wrong}
    result = list(found)
    if following := tuple(sorted(code for code, cause in causes.items() if cause == "found")):
        result[0] = replace(result[0], codes=(*result[0].codes, *following))
    if hidden is not None:
        result.append(hidden)
    if own := [f for f in wrong if causes[f.code] == "misreported"]:
        result.append(_misreported(evidence, own, alone=not result))
    return result


def _misreported(evidence: Sequence[StepEvidence], own: Sequence[Finding], alone: bool) -> Diagnosis:
    codes = tuple(sorted({f.code for f in own}))
    what = " and ".join(NAMES[c] for c in codes)
    late = codes == ("learning-rate.value",) and _reports_the_next_rate(evidence)
    shard = codes == ("grad-norm.value",) and all(map(per_shard.is_reported, evidence))
    how = "is that of the next step" if late else "is that of one rank's shard alone" if shard else "is wrong"
    of = " of the next step" if late else " of a shard" if shard else ""
    kind = f"misreported: {', '.join(c.removesuffix('.value') for c in codes)}{of}"
    lead = "the step is right as far as its noise floor lets one tell, but the" if alone else "the"
    return Diagnosis("misreported", f"{lead} reported {what} {how}", 1.0, codes, own[0].message, kind=kind)


def _reports_the_next_rate(evidence: Sequence[StepEvidence]) -> bool:
    """Whether every step reports the rate that the schedule has for the one after it.

    The last step has none after it: what a framework's schedule says there, beyond its end, is its own matter.
    """
    intent = evidence[0].right.intent
    *before, last = evidence
    allowed = {e.step: e.floor.tolerance("learning_rate") * intent.rule.learning_rate for e in evidence}
    told = {e.step: e.recorded.reported.learning_rate for e in evidence}

    def next_rate(e: StepEvidence) -> bool:
        rate = told[e.step]
        return rate is not None and abs(rate - intent.schedule_rate(e.right.update + 1)) <= allowed[e.step]

    rising = [e for e in before if intent.schedule_rate(e.right.update) != intent.schedule_rate(e.right.update + 1)]
    return all(map(next_rate, before)) and (bool(rising) or next_rate(last))


def _hides(e: StepEvidence, factor: float) -> bool:
    """Whether clipping hides that factor, and the reported norm shows it."""
    told = e.recorded.reported.grad_norm
    return (
        factor != 1.0
        and e.fit.hypothesis.scale == factors.UNIT
        and e.fit.hypothesis.clip == "right"
        and hypotheses.clips(e.right, e.fit.norm * min(1.0, factor))
        and told is not None
        and abs(told / (e.fit.norm * factor) - 1) <= e.floor.tolerance("norm")
    )


def _right_norm(e: StepEvidence) -> bool:
    """Whether the reported norm is what the weights make of it, or none is reported."""
    told = e.recorded.reported.grad_norm
    return told is None or abs(told - e.fit.norm) <= e.floor.tolerance("norm") * e.fit.norm


def _loss_shows(e: StepEvidence, factor: float) -> bool:
    told = e.recorded.reported.loss
    return told is not None and abs(told / (e.loss_right * factor) - 1) <= e.floor.tolerance("loss")


def _hidden_scale(evidence: Sequence[StepEvidence]) -> Diagnosis | None:
    """A gradient that is too long by a known factor before clipping, which then hides it.

    Its tokens may also be weighed wrongly: the norm is held against what their weights make of it.
    """
    scenario = evidence[0].scenario if evidence else None
    fewer = scenario is not None and scenario.window.resume_ranks > 0
    for every in zip(*(factors.named_factors(e.right) for e in evidence), strict=True):
        if every[0].name == factors.FEWER and not fewer:
            continue
        pairs = list(zip(evidence, every, strict=True))
        if every[0].name in (factors.PARTIAL, factors.FEWER):  # 1 where the window is a full one, of every rank
            others = [e for e, scale in pairs if scale.factor == 1.0]
            pairs = [(e, scale) for e, scale in pairs if scale.factor != 1.0] if all(map(_right_norm, others)) else []
        if pairs and all(_hides(e, scale.factor) for e, scale in pairs):
            first, scale = pairs[0]
            when = "earlier" if scale.factor > 1 else "later"
            sentence = (
                f"the gradient before clipping is {fraction(scale.factor)} times what it should be ({scale.name});"
                f" clipping hides it, so the clip threshold acts {when} than it is meant to"
            )
            reported = ", ".join(
                f"{e.recorded.reported.grad_norm:.6g}" for e in evidence if e.recorded.reported.grad_norm
            )
            line = f"reported norms {reported}, by the weights {', '.join(f'{e.fit.norm:.6g}' for e in evidence)}"
            kind = f"gradient-scale: {short(scale)}"
            # Another divisor is one of the loss, too.
            divides = scale.name in (*factors.DIVISORS, factors.FIRSTS)
            alike = divides and all(map(_loss_shows, evidence, (s.factor for s in every)))
            return Diagnosis(
                "gradient-scale",
                sentence,
                1.0,
                ("grad-norm.value", "loss.value") if alike else ("grad-norm.value",),
                line,
                kind=kind,
                measured=names(first, scale),
            )
    return None

"""Causes that stand in how the parameters moved, and in ranks that moved apart."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.diagnosis import schedules, untrained
from harness.judging.diagnosis.schedules import Followed
from harness.judging.diagnosis.wording import of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle import hypotheses
from harness.oracle.weighing import weighing
from harness.verdicts.findings import Diagnosis, Finding


def diagnoses(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    """Learning rate, weight decay, and what the moments tell."""
    result = []
    still = untrained.still(evidence)
    rates = of_codes(findings, "update.learning-rate")
    if own := [f for f in rates if not (still and still.issuperset(f.detail["tensors"]))]:
        result.append(_learning_rate(evidence, own))
    if own := of_codes(findings, "update.weight-decay"):
        result.append(_weight_decay(evidence, own[0]))
    if own := of_codes(findings, "update.moments"):
        telling = next((f for f in own if f.detail["what"] in ("beta1", "beta2", "eps", "step count")), own[0])
        counted = telling.detail["what"] == "step count"
        result.append(_bias_correction(evidence, telling) if counted else _moments(telling, _title(evidence)))
    return result


def _learning_rate(evidence: Sequence[StepEvidence], own: Sequence[Finding]) -> Diagnosis:
    line = ", ".join(f"{e.update.as_asked[0].learning_rate:.6g} (right {e.scheduled_rate:.6g})" for e in evidence)
    alike = any(_alike(e, [f for f in own if f.step == e.step]) for e in evidence)
    how = schedules.followed(evidence) if alike else _groups(evidence, own)
    cause = "learning-rate-schedule"
    return Diagnosis(cause, how.summary, 1.0, ("update.learning-rate",), f"by step: {line}", kind=f"{cause}: {how.key}")


def _alike(e: StepEvidence, own: Sequence[Finding]) -> bool:
    """Whether all tensors of a step are off by one factor, whatever rates their groups have."""
    off = {f"{float(f.observed or 0.0) / float(f.expected):.3g}" if f.expected else "moved" for f in own}
    return len(off) == 1 and sum(len(f.detail["tensors"]) for f in own) == len(e.update.told)


def _groups(evidence: Sequence[StepEvidence], own: Sequence[Finding]) -> Followed:
    """Some tensors have another rate than they should: that of the others, or one of their own."""
    if all(map(_one_rate, evidence)):
        tensors = own[0].detail["tensors"]
        who = tensors[0] if len(tensors) == 1 else f"{len(tensors)} tensors ({tensors[0]}, ...)"
        return Followed(
            "groups collapsed", f"{who} should have a learning rate of their own, but have that of the rest"
        )
    return Followed("groups", f"parameter groups differ: {own[0].message}")


def _one_rate(e: StepEvidence) -> bool:
    """Whether every tensor moved with the schedule's rate."""
    allowed = e.floor.tolerance("learning_rate") * e.scheduled_rate
    return all(abs(u.learning_rate - e.scheduled_rate) <= allowed for u in e.update.explained)


def _directions(e: StepEvidence, tensors: Sequence[str]) -> set[bool]:
    """Whether tensors decayed by more than they should, or by less."""
    return {u.weight_decay > e.expected_decay(u.tensor) for u in e.update.explained if u.tensor in tensors}


def _weight_decay(evidence: Sequence[StepEvidence], finding: Finding) -> Diagnosis:
    tensors = finding.detail["tensors"]
    norms = all(evidence[0].recorded.states[t].before.ndim == 1 for t in tensors)
    exempt = ", which should be exempt" * (finding.expected == 0.0)
    what = f"norms and biases{exempt}" if norms else f"{len(tensors)} tensors, {tensors[0]} first"
    summary = f"weight decay of {finding.observed:.4g} instead of {finding.expected:.4g} applies to {what}"
    at = next(e for e in evidence if e.step == finding.step)
    if len(_directions(at, tensors)) > 1:
        summary = f"weight decay is on other parameters than it should be: {finding.message}"
        kind = "weight-decay: other groups"
        return Diagnosis("weight-decay", summary, 1.0, ("update.weight-decay",), finding.message, kind=kind)
    more = float(finding.observed or 0.0) > float(finding.expected or 0.0)
    kind = f"weight-decay: {'more' if more else 'less'} on {'norms' if norms else 'other tensors'}"
    return Diagnosis("weight-decay", summary, 1.0, ("update.weight-decay",), finding.message, kind=kind)


def _title(evidence: Sequence[StepEvidence]) -> str:
    """What an optimizer is called; of SGD and AdamW, Adam."""
    return {"adagrad": "Adagrad", "rmsprop": "RMSprop"}.get(evidence[0].intent.rule.name, "Adam")


def _moments(telling: Finding, title: str) -> Diagnosis:
    what = telling.detail["what"]
    summary = {
        "beta1": f"Adam runs with beta1 = {telling.observed:.4g}" if telling.observed else "",
        "beta2": f"Adam runs with beta2 = {telling.observed:.4g}" if telling.observed else "",
        "eps": f"{title} runs with eps = {telling.detail.get('eps') or 0.0:.3g}",
    }.get(what, f"the update does not follow from {title}'s moments")
    cause = "optimizer-moments"
    return Diagnosis(cause, summary, 1.0, ("update.moments",), telling.message, kind=f"{cause}: {what}")


def _bias_correction(evidence: Sequence[StepEvidence], finding: Finding) -> Diagnosis:
    shares = ", ".join(
        f"{e.update.as_asked[0].learning_rate / e.scheduled_rate:.4f}" for e in evidence if e.scheduled_rate
    )
    summary = (
        "Adam's step count starts at 1 instead of 0, as after a step with no gradient before the training:"
        f" the first updates are too small (times {shares})"
    )
    return Diagnosis("bias-correction", summary, 1.0, ("update.moments",), finding.message)


def replicas(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> Diagnosis | None:
    """The one cause of a step after which groups of ranks hold parameters of their own, the same within each: ranks
    that rank 0 differs from differ alike, and none of their tokens is in its gradient."""
    own = of_codes(findings, "state.rank-desync")
    others = {f.rank for f in own if f.rank is not None}
    first = next((e for e in evidence if own and e.step == own[0].step), None)
    groups = len(others) > 1 and len({f.observed for f in own}) == 1
    if (
        first is None
        or not groups
        or 2 * len(others) != first.right.intent.ranks
        or {f.step for f in findings if f.step is not None} != {first.step}
    ):
        return None
    told = hypotheses.weighing_places(weighing(first.right, first.floor))
    if first.fit.hypothesis.dropped != {place for place in told if place[0] in others}:
        return None
    sentence = (
        f"ranks {', '.join(map(str, sorted(others)))} train a model of their own, from their own rows alone: gradients"
        " are averaged within each group of ranks that holds all shards, and not between the groups"
    )
    codes = tuple(dict.fromkeys(f.code for f in findings if f.step is not None))
    return Diagnosis("replicas-apart", sentence, 1.0, codes, own[0].message)


def of_ranks(findings: Sequence[Finding]) -> list[Diagnosis]:
    """Ranks that hold different parameters."""
    own = of_codes(findings, "state.rank-desync")
    if not own:
        return []
    if own[0].detail.get("skipped"):
        sentence = (
            "a rank skips a step that others make, as one that looks for an overflow in its own gradient alone: from"
            f" step {own[0].step} on the ranks train models of their own (later steps are not weighed)"
        )
        kind = "rank-desync: skipped alone"
        return [Diagnosis("rank-desync", sentence, 1.0, ("state.rank-desync",), own[0].message, kind=kind)]
    sentence = (
        "data-parallel ranks train models of their own: a gradient or parameter was not synchronised"
        f" (from step {own[0].step} on; later steps are not weighed)"
    )
    return [Diagnosis("rank-desync", sentence, 1.0, ("state.rank-desync",), own[0].message)]

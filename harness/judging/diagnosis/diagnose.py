"""From findings and evidence to causes: few sentences that explain many findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.judging.diagnosis import residual, upstream
from harness.judging.evidence import StepEvidence
from harness.oracle import hypotheses
from harness.oracle.hypotheses import Hypothesis, Scale
from harness.traces.text_files import Header
from harness.verdicts.findings import Diagnosis, Finding

REPORTED = {"loss.value": "loss", "grad-norm.value": "gradient norm", "learning-rate.value": "learning rate"}


class Words(NamedTuple):
    """What is said of one wrong part of a hypothesis."""

    cause: str
    telling: str
    """What tells it from another of that cause, for `Diagnosis.kind`."""
    summary: str

    @property
    def kind(self) -> str:
        return f"{self.cause}: {self.telling}"


def diagnose(header: Header, evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    """Causes in the order in which a step applies them; every finding belongs to at least one."""
    codes = {f.code for f in findings}
    found = [
        *_inputs(findings),
        *_weights(evidence, codes),
        *_residual(evidence, findings),
        *_update(evidence, findings),
        *_state(findings),
    ]
    found = _with_reported(_once(found), evidence, findings)
    return tuple(_with_upstream(d, header, evidence) for d in found)


def _once(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """A cause that the inputs already show is not told again, but what the weights say of its kind is kept."""
    first: dict[str, Diagnosis] = {}
    for d in found:
        seen = first.setdefault(d.cause, d)
        if seen.kind == seen.cause:
            first[d.cause] = replace(seen, kind=d.kind)
    return list(first.values())


def _steps(numbers: Sequence[int | None], total: int) -> str:
    known = sorted({n for n in numbers if n is not None})
    if len(known) == total:
        return "in every step" if total > 1 else "in its only step"
    return f"at step{'s' * (len(known) > 1)} {', '.join(map(str, known))}"


def _of(findings: Sequence[Finding], *codes: str) -> list[Finding]:
    return [f for f in findings if f.code in codes]


_INPUTS = {
    "inputs.batch": ("batch-composition", "the optimizer step was made of other rows than it should: {0}"),
    "inputs.token-ids": ("tokenization", "the framework made other tokens of the scenario's text: {0}"),
    "inputs.loss-mask": ("loss-mask", "the framework marked other tokens for training than the responses: {0}"),
    "inputs.positions": ("positions", "positions do not restart with each packed conversation: {0}"),
    "inputs.attention": ("attention-leak", "conversations packed in one sequence can attend to each other: {0}"),
}


def _inputs(findings: Sequence[Finding]) -> list[Diagnosis]:
    result = []
    for code, (cause, sentence) in _INPUTS.items():
        if own := _of(findings, code):
            codes = (code, "weights.residual") if cause == "attention-leak" else (code,)
            told = f"{len(own)} findings"
            kind = f"{cause}: {_rows(own[0])}" if code == "inputs.batch" else cause
            result.append(Diagnosis(cause, sentence.format(own[0].message), 1.0, codes, told, kind=kind))
    return result


def _rows(finding: Finding) -> str:
    """How a batch is wrong. Which rows it is would differ between any two orders of them."""
    missing, extra = finding.detail["missing"], finding.detail["extra"]
    return ("other rows" if extra else "rows missing") if missing else "rows added"


def _mask(h: Hypothesis, e: StepEvidence) -> Words:
    sentences = {
        "everything": "prompt tokens are trained as if they were responses",
        "no-eos": "the EOS token that ends a response is never trained, so the model does not learn to stop",
        "no-first": "the first token of every response is never trained",
        "with-tag": "the tag that opens a response is trained as if it were part of it",
        "shifted": "the loss mask is shifted by one: the last prompt token is trained and the EOS never is",
        "late": "the loss mask is a token late: the first token of every response is never trained, and what follows"
        " its EOS is, which is padding here",
    }
    return Words("loss-mask", h.mask, sentences[h.mask])


def _listed(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _survivors(dropped: Sequence[int], count: int) -> str:
    kept = [m for m in range(count) if m not in dropped]
    names = {(0, count - 1): "first and last did", (count - 1,): "only the last did", (0,): "only the first did"}
    return names.get(tuple(kept), f"only {_listed(kept)} did" if kept else "others did on some ranks")


def _dropped(h: Hypothesis, e: StepEvidence) -> Words:
    count, ranks = e.right.scenario.accumulation, e.right.scenario.ranks
    on = {m: sorted(r for r, n in h.dropped if n == m) for _, m in h.dropped}
    everywhere = all(len(r) == ranks for r in on.values())
    who = {1: "on the only rank", 2: "on both ranks"}.get(ranks, f"on all {ranks} ranks")
    numbers = sorted(on)
    where = who if everywhere else "; ".join(f"micro-batch {m} on rank {_listed(r)}" for m, r in sorted(on.items()))
    plural = "micro-batches" if len(numbers) > 1 else "micro-batch"
    places = [str(m) if len(on[m]) == ranks else f"{m} (rank {_listed(on[m])})" for m in numbers]
    return Words(
        "dropped-micro-batches",
        f"{', '.join(places)} of {count}",
        f"{plural} {_listed(numbers)} of {count} never reached the optimizer, {where} ({_survivors(numbers, count)})",
    )


def _level(h: Hypothesis, e: StepEvidence) -> Words:
    what = {
        "micro-batch": "each micro-batch is averaged by itself, then the micro-batches",
        "rank": "each rank averages its own tokens, then the ranks are averaged",
        "micro-step": "tokens are pooled over the ranks, but each micro-step is averaged by itself",
        "row": "each conversation is averaged by itself, then the conversations",
    }
    summary = f"mean of means: {what[h.level]}, so a token in short company weighs more than one in long"
    return Words("mean-of-means", h.level, summary)


def _fraction(factor: float) -> str:
    inverse = 1.0 / factor if factor else 0.0
    if abs(inverse - round(inverse)) < 1e-9 and round(inverse) > 1:
        return f"1/{round(inverse)}"
    return f"{factor:.6g}"


def _short(scale: Scale) -> str:
    """A factor's name in short; whether it is above 1 where it has none, for its size is measured."""
    if scale.name == hypotheses.UNNAMED:
        return "too long" if scale.factor > 1 else "too short"
    return scale.name.replace("gradient_accumulation_steps", "GA")


def _scale(h: Hypothesis, e: StepEvidence) -> Words:
    s = h.scale
    size = f"{_fraction(s.factor)} times" if s.factor > 1 else f"{_fraction(s.factor)} of"
    return Words("gradient-scale", _short(s), f"the gradient is {size} what it should be: {s.name}")


def _clip(h: Hypothesis, e: StepEvidence) -> Words:
    sentences = {
        "none": f"the gradient is not clipped at {e.right.scenario.max_grad_norm}",
        "per-rank": "every rank clips its own gradient before they are averaged",
        "before-averaging": "the gradient is clipped before it is divided by the number of ranks, so it is too short",
    }
    return Words("clipping", h.clip, sentences[h.clip])


_PARTS: dict[str, tuple[str, Callable[[Hypothesis, StepEvidence], Words]]] = {
    "mask": ("weights.mask", _mask),
    "dropped": ("weights.dropped-micro-batches", _dropped),
    "level": ("weights.mean-of-means", _level),
    "scale": ("weights.scale", _scale),
    "clip": ("update.clip", _clip),
}


def weights_by_micro_batch(e: StepEvidence) -> str:
    """Recovered weights x N of a step in a line: `rank 0: 1.00 0.00 ...; rank 1: ...`."""
    scenario = e.right.scenario
    lines = []
    for rank in range(scenario.ranks):
        cells = []
        for number in range(scenario.accumulation):
            rows = [r for r in e.tokens.rows if (r.rank, r.micro_batch) == (rank, number)]
            tokens = sum(r.trained for r in rows)
            mean = sum(r.weight * r.trained for r in rows) / tokens if tokens else 0.0
            cells.append(f"{round(mean, 4) + 0.0:.4f}" if tokens else "-")  # + 0.0: no -0.0000
        lines.append(f"rank {rank}: {' '.join(cells)}")
    return "; ".join(lines)


def _weights(evidence: Sequence[StepEvidence], codes: set[str]) -> list[Diagnosis]:
    result = []
    for part, (code, words) in _PARTS.items():
        steps = [e for e in evidence if part in hypotheses.wrong_parts(e.fit.hypothesis)]
        if not steps:
            continue
        first = steps[0]
        said = words(first.fit.hypothesis, first)
        share = [hypotheses.shares(e.right, e.observed.weights, e.fit.hypothesis)[part] for e in steps]
        line = (
            f"weights x N by micro-batch at step {first.step}: {weights_by_micro_batch(first)}"
            f" (right: {first.clip_expected:.4f} each); {_steps([e.step for e in steps], len(evidence))}"
        )
        explains = sum(share) / len(share)
        result.append(Diagnosis(said.cause, said.summary, explains, (code,), line, kind=said.kind))
    if "weights.uneven" in codes:
        first = next(e for e in evidence if e.fit.excess > 1.0)
        line = f"weights x N by micro-batch at step {first.step}: {weights_by_micro_batch(first)}"
        result.append(
            Diagnosis(
                "uneven-weights",
                "token weights are off in a way that no known cause makes; see the table of `lockstep explain`",
                0.0,
                ("weights.uneven",),
                line,
            )
        )
    return result


def _residual(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    result = []
    if dtype := _of(findings, "numerics.dtype"):
        where = _steps([f.step for f in dtype], len(evidence))
        sentence = "gradients are computed or accumulated in bfloat16, although the scenario asks for float32"
        result.append(Diagnosis("coarse-dtype", sentence, 1.0, ("numerics.dtype",), f"{dtype[0].message}; {where}"))
    steps = [f.step for f in _of(findings, "weights.residual")]
    if not steps:
        return result
    causes = []
    for number in steps:
        at = next(i for i, e in enumerate(evidence) if e.step == number)
        causes.append(residual.explain(evidence[at], evidence[at - 1] if at else None))
    named = [c for c in causes if c.name != residual.UNEXPLAINED] or causes
    cause, share = named[0], sum(c.name == named[0].name for c in causes) / len(causes)
    explained = 0.0 if cause.name == residual.UNEXPLAINED else share
    line = f"{cause.evidence}; {_steps(steps, len(evidence))}"
    result.append(Diagnosis(cause.name, cause.summary, explained, ("weights.residual",), line))
    return result


_SCHEDULES = {
    "late": "the learning rate is late: every step has the rate of the step before",
    "early": "the learning rate is early: every step has the rate of the step after",
    "zero-first": "the learning rate is zero in the first step, which therefore changes nothing",
    "other": "the learning rate does not follow the schedule",
}


def _schedule(evidence: Sequence[StepEvidence]) -> str:
    """A key of `_SCHEDULES`."""
    scenario = evidence[0].right.scenario
    got = [e.update.as_asked[0].learning_rate for e in evidence]

    def follows(shift: int) -> bool:
        wanted = [scenario.learning_rate_at(e.step + shift) for e in evidence]
        allowed = [e.floor.tolerance("learning_rate") * scenario.optimizer.learning_rate for e in evidence]
        return all(abs(g - w) <= a for g, w, a in zip(got, wanted, allowed, strict=True))

    if follows(-1):
        return "late"
    if follows(1):
        return "early"
    return "zero-first" if got[0] == 0.0 and len(evidence) > 1 and got[1] else "other"


def _update(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    result = []
    if own := _of(findings, "update.learning-rate"):
        result.append(_learning_rate(evidence, own))
    if own := _of(findings, "update.weight-decay"):
        result.append(_weight_decay(evidence, own[0]))
    if own := _of(findings, "update.moments"):
        telling = next((f for f in own if f.detail["what"] in ("beta1", "beta2", "eps", "step count")), own[0])
        counted = telling.detail["what"] == "step count"
        result.append(_bias_correction(evidence, telling) if counted else _moments(telling))
    return result


def _learning_rate(evidence: Sequence[StepEvidence], own: Sequence[Finding]) -> Diagnosis:
    line = ", ".join(
        f"{e.update.as_asked[0].learning_rate:.6g} (right {e.expected_learning_rate:.6g})" for e in evidence
    )
    how = _schedule(evidence) if any(f.detail.get("all") for f in own) else "groups"
    summary = _SCHEDULES.get(how, f"parameter groups differ: {own[0].message}")
    cause = "learning-rate-schedule"
    return Diagnosis(cause, summary, 1.0, ("update.learning-rate",), f"by step: {line}", kind=f"{cause}: {how}")


def _weight_decay(evidence: Sequence[StepEvidence], finding: Finding) -> Diagnosis:
    tensors = finding.detail["tensors"]
    norms = all(evidence[0].recorded.before.parameters[t].ndim == 1 for t in tensors)
    what = "norms and biases, which should be exempt" if norms else f"{len(tensors)} tensors, {tensors[0]} first"
    summary = f"weight decay of {finding.observed:.4g} instead of {finding.expected:.4g} applies to {what}"
    more = float(finding.observed or 0.0) > float(finding.expected or 0.0)
    kind = f"weight-decay: {'more' if more else 'less'} on {'norms' if norms else 'other tensors'}"
    return Diagnosis("weight-decay", summary, 1.0, ("update.weight-decay",), finding.message, kind=kind)


def _moments(telling: Finding) -> Diagnosis:
    what = telling.detail["what"]
    summary = {
        "beta1": f"Adam runs with beta1 = {telling.observed:.4g}" if telling.observed else "",
        "beta2": f"Adam runs with beta2 = {telling.observed:.4g}" if telling.observed else "",
        "eps": f"Adam runs with eps = {telling.detail.get('eps') or 0.0:.3g}",
    }.get(what, "the update does not follow from Adam's moments")
    cause = "optimizer-moments"
    return Diagnosis(cause, summary, 1.0, ("update.moments",), telling.message, kind=f"{cause}: {what}")


def _bias_correction(evidence: Sequence[StepEvidence], finding: Finding) -> Diagnosis:
    shares = ", ".join(f"{e.update.as_asked[0].learning_rate / e.expected_learning_rate:.4f}" for e in evidence)
    summary = (
        "Adam's step count starts at 1 instead of 0, as after a step with no gradient before the training:"
        f" the first updates are too small (times {shares})"
    )
    return Diagnosis("bias-correction", summary, 1.0, ("update.moments",), finding.message)


def _state(findings: Sequence[Finding]) -> list[Diagnosis]:
    own = _of(findings, "state.rank-desync")
    if not own:
        return []
    sentence = (
        "data-parallel ranks train models of their own: a gradient or parameter was not synchronised"
        f" (from step {own[0].step} on; later steps are not weighed)"
    )
    return [Diagnosis("rank-desync", sentence, 1.0, ("state.rank-desync",), own[0].message)]


def _with_reported(
    found: list[Diagnosis], evidence: Sequence[StepEvidence], findings: Sequence[Finding]
) -> list[Diagnosis]:
    """Wrong losses and norms follow from wrong weights or inputs, if there are any; else they are a cause of their own.

    A wrong learning rate always is, for it is held against the one that the parameters moved with.
    """
    rate = _of(findings, "learning-rate.value")
    own = [f for f in _of(findings, *REPORTED) if f not in rate]
    if not found and not own:
        return [_misreported(evidence, rate, _RIGHT)] if rate else []
    late = [_misreported(evidence, rate, "the")] if rate else []
    codes = tuple(sorted({f.code for f in own}))
    hidden = _hidden_scale(evidence) if "grad-norm.value" in codes else None
    if found:
        explained = tuple(code for code in codes if hidden is None or code != "grad-norm.value")
        first = replace(found[0], codes=(*found[0].codes, *explained))
        return [first, *found[1:], *([hidden] if hidden else []), *late]
    if hidden and codes == ("grad-norm.value",):
        return [hidden, *late]
    return [_misreported(evidence, [*own, *rate], _RIGHT)]


_RIGHT = "the step is right as far as its noise floor lets one tell, but the"


def _misreported(evidence: Sequence[StepEvidence], own: Sequence[Finding], lead: str) -> Diagnosis:
    codes = tuple(sorted({f.code for f in own}))
    what = " and ".join(REPORTED[c] for c in codes)
    late = codes == ("learning-rate.value",) and _reports_the_next_rate(evidence)
    how = "is that of the next step" if late else "is wrong"
    kind = f"misreported: {', '.join(c.removesuffix('.value') for c in codes)}{' of the next step' * late}"
    return Diagnosis("misreported", f"{lead} reported {what} {how}", 1.0, codes, own[0].message, kind=kind)


def _reports_the_next_rate(evidence: Sequence[StepEvidence]) -> bool:
    """Whether every step reports the rate that the schedule has for the one after it."""
    scenario = evidence[0].right.scenario
    allowed = [e.floor.tolerance("learning_rate") * scenario.optimizer.learning_rate for e in evidence]
    told = [None if e.recorded.reported is None else e.recorded.reported.learning_rate for e in evidence]
    return all(
        t is not None and abs(t - scenario.learning_rate_at(e.step + 1)) <= a
        for t, e, a in zip(told, evidence, allowed, strict=True)
    )


def _hidden_scale(evidence: Sequence[StepEvidence]) -> Diagnosis | None:
    """A gradient that is too long by a known factor before clipping, which then hides it.

    Its tokens may also be weighed wrongly: the norm is held against what their weights make of it.
    """
    for scale in hypotheses.scales(evidence[0].right)[1:]:
        if all(
            e.fit.hypothesis.scale == hypotheses.UNIT
            and e.fit.hypothesis.clip == "right"
            and hypotheses.clips(e.right, e.fit.norm * min(1.0, scale.factor))
            and e.recorded.reported is not None
            and e.recorded.reported.grad_norm is not None
            and abs(e.recorded.reported.grad_norm / (e.fit.norm * scale.factor) - 1) <= e.floor.tolerance("norm")
            for e in evidence
        ):
            sentence = (
                f"the gradient before clipping is {_fraction(scale.factor)} times what it should be ({scale.name});"
                " clipping hides it, so the clip threshold acts earlier than it is meant to"
            )
            reported = ", ".join(
                f"{e.recorded.reported.grad_norm:.6g}"
                for e in evidence
                if e.recorded.reported and e.recorded.reported.grad_norm
            )
            line = f"reported norms {reported}, by the weights {', '.join(f'{e.fit.norm:.6g}' for e in evidence)}"
            kind = f"gradient-scale: {_short(scale)}"
            return Diagnosis("gradient-scale", sentence, 1.0, ("grad-norm.value",), line, kind=kind)
    return None


def _with_upstream(d: Diagnosis, header: Header, evidence: Sequence[StepEvidence]) -> Diagnosis:
    known = upstream.find(header, d.cause, evidence[0].right.scenario)
    return d if known is None else replace(d, upstream=known.sentence, remedy=known.remedy)

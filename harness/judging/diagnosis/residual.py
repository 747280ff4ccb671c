"""Why a gradient has a part that the batch's own tokens do not explain: causes tried one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.judging.diagnosis import per_shard
from harness.judging.diagnosis.instead import Cause, instead
from harness.judging.diagnosis.wording import at_steps, of_codes
from harness.judging.evidence import StepEvidence
from harness.oracle import architectures, full_basis, padding_row, tied
from harness.oracle.basis import Segment, flatten, segment
from harness.oracle.step import as_computed
from harness.traces.added import Noise
from harness.traces.batch import Conversation
from harness.verdicts import questions
from harness.verdicts.findings import Diagnosis, Finding
from scenarios import text

UNEXPLAINED = "unexplained-gradient"


def _left_beside(evidence: StepEvidence, column: Tensor) -> tuple[float, float]:
    """Residual if one more gradient is allowed for, and its coefficient."""
    return _left(evidence, evidence.observed.rest, evidence.right.basis.solve(column)[1])


def _left(evidence: StepEvidence, rest: Tensor, outside: Tensor) -> tuple[float, float]:
    """What is left of `rest`, relative to the gradient, beside as much of `outside` as explains most, and how much."""
    size = float(outside @ outside)
    if not size:
        return evidence.residual, 0.0
    factor = float(rest @ outside) / size
    return float((rest - factor * outside).norm()) / evidence.observed.asked, factor


def _stale(evidence: StepEvidence, previous: StepEvidence | None) -> Cause | None:
    if previous is None:
        return None
    left, factor = _left_beside(evidence, previous.observed.gradient)
    return Cause(
        "stale-gradient",
        "the gradient of the step before is still in this one's: gradients were not set to zero between steps",
        f"{factor:.4g} times the previous step's gradient leaves a residual of {left:.2g}",
        left,
    )


def _coupled_decay(evidence: StepEvidence) -> Cause:
    trained = {n: p for n, p in evidence.recorded.before.parameters.items() if n in evidence.recorded.states}
    left, factor = _left_beside(evidence, flatten(trained))
    return Cause(
        "coupled-decay",
        "weight decay is added to the gradient (L2 regularisation), not to the update as AdamW has it",
        f"{factor:.4g} times the parameters leaves a residual of {left:.2g}",
        left,
    )


def _tied(evidence: StepEvidence) -> list[Cause]:
    """Whether an embedding that is the head as well has one part of its gradient another number of times than once."""
    right = evidence.right
    model = right.model
    if not model.tied_embeddings or questions.ELSEWHERE in evidence.open:
        return []
    parameters = as_computed(evidence.recorded.before.parameters, right.intent.precision)
    segments = [segment(c) for c in right.conversations]
    found = tied.parts(parameters, model, segments, evidence.observed.gradient, right.intent.token_loss)
    causes = []
    for name, part in (("input", found.by_input), ("head", found.by_head)):
        left, factor = _left(evidence, found.rest, part)
        summary = f"the embedding is the head as well, but what its gradient gets from the {name} does not count once"
        line = f"{1 + factor:.4g} times the part of the {name} leaves a residual of {left:.2g}"
        causes.append(Cause("tied-gradient", summary, line, left, f"tied-gradient: {name}"))
    return causes


def _padding_row(evidence: StepEvidence) -> Cause | None:
    """Whether the embedding of a token that pads, and is read as well, has no part in the gradient."""
    scenario, right = evidence.scenario, evidence.right
    if scenario is None or scenario.tokenizer.pad_token == "own" or questions.ELSEWHERE in evidence.open:
        return None
    if not right.model.trains(architectures.embedding(right.model.architecture)):
        return None
    parameters = as_computed(evidence.recorded.before.parameters, right.intent.precision)
    segments = [segment(c) for c in right.conversations]
    eos = text.SPECIAL.index(text.EOS)
    found = padding_row.row(parameters, right.model, segments, evidence.observed.gradient, eos, right.intent.token_loss)
    left, factor = _left(evidence, found.rest, found.part)
    return Cause(
        "padding-embedding",
        "the EOS is the padding token as well, and the model freezes that one's row of the embedding: the EOS that ends"
        " a turn does not learn what those behind it read",
        f"{1 + factor:.4g} times that row's gradient from the input leaves a residual of {left:.2g}",
        left,
    )


def _joined(conversations: Sequence[Conversation]) -> Segment:
    """One sequence whose conversations see each other; positions as they restart."""
    return Segment(
        tuple(i for c in conversations for i in c.ids),
        tuple(p for c in conversations for p in range(len(c.ids))),
        noise=_added(conversations),
    )


def _added(conversations: Sequence[Conversation]) -> Noise | None:
    """What was added to all of them, one behind the other."""
    first = conversations[0].noise
    every = [c.noise.of(len(c.ids)) for c in conversations if c.noise is not None]
    return None if first is None else replace(first, values=torch.cat(every))


def _leak(evidence: StepEvidence) -> Cause | None:
    sequences: dict[tuple[int, int, int], list[Conversation]] = {}
    for c in evidence.right.conversations:
        sequences.setdefault((c.rank, c.micro_batch, c.sequence), []).append(c)
    if all(len(s) == 1 for s in sequences.values()) or questions.ATTENTION in evidence.open:
        return None
    right = evidence.right
    segments = [_joined(s) for s in sequences.values()]
    seen = as_computed(evidence.recorded.before.parameters, right.intent.precision)
    leaking = full_basis.build(seen, right.model, segments, right.intent.token_loss)
    left = float(leaking.solve(evidence.observed.gradient)[1].norm()) / evidence.norm_used
    return Cause(
        "attention-leak",
        "packed conversations attend to those before them in the same sequence",
        f"per-token gradients with attention across conversations leave a residual of {left:.2g}",
        left,
    )


def explain(evidence: StepEvidence, previous: StepEvidence | None) -> Cause:
    """The cause that leaves least, if it explains nine tenths of the residual; else that nothing known does."""
    if (other := evidence.other_model) is not None:
        return instead(other)
    enough = max(0.1 * evidence.residual, evidence.floor.tolerance("residual"))
    tried = [
        c
        for c in (
            *(_stale(evidence, previous), _coupled_decay(evidence), _padding_row(evidence)),
            *(*_tied(evidence), per_shard.cause(evidence)),
        )
        if c is not None
    ]
    if all(c.left > enough for c in tried) and (leak := _leak(evidence)) is not None:
        tried.append(leak)  # the last, for it needs another basis
    best = min(tried, key=lambda c: c.left)
    if best.left <= enough:
        return best
    names = ", ".join(f"{c.name} leaves {c.left:.2g}" for c in tried)
    return Cause(
        UNEXPLAINED,
        "a part of the gradient comes from something other than the tokens of the batch: dropout, a regulariser,"
        " another loss, or another model",
        f"residual {evidence.residual:.3g}; tried: {names}",
        evidence.residual,
    )


_REDUCED = {
    "bf16": ("bfloat16, although float32 is asked for", "coarse-dtype: reduction"),
    "fp32": ("float32, although bfloat16 is asked for", "coarse-dtype: reduction in float32"),
}
"""By the dtype that gradients were reduced in."""


def _reduced(finding: Finding) -> Diagnosis:
    what, kind = _REDUCED[finding.detail["in"]]
    sentence = f"gradients are reduced over the ranks in {what}"
    return Diagnosis("coarse-dtype", sentence, 1.0, ("numerics.dtype",), finding.message, kind=kind)


def diagnoses(evidence: Sequence[StepEvidence], findings: Sequence[Finding]) -> list[Diagnosis]:
    """A coarser dtype, or else what would leave least of the gradient unexplained."""
    result = []
    told = of_codes(findings, "numerics.dtype")
    if kept := [f for f in told if f.detail.get("what") == "masters"]:
        name = kept[0].observed
        several = len(kept[0].detail["tensors"])
        who = "parameters" if kept[0].detail["all"] else kept[0].tensor or f"{several} tensors"
        sentence = f"the optimizer keeps {who} in {name}, without float32 masters: small updates are lost"
        line = f"{kept[0].message}; {at_steps([f.step for f in kept], len(evidence))}"
        kind = "coarse-dtype: masters"
        result.append(Diagnosis("coarse-dtype", sentence, 1.0, ("numerics.dtype",), line, kind=kind))
    reduced = [f for f in told if f.detail.get("what") == "reduction"]
    if reduced:
        result.append(_reduced(reduced[0]))
    if dtype := [f for f in told if f not in kept and not reduced]:
        where = at_steps([f.step for f in dtype], len(evidence))
        wanted = "float32" if evidence[0].right.intent.precision == "fp32" else "float16"
        sentence = f"gradients are computed or accumulated in bfloat16, although the scenario asks for {wanted}"
        result.append(Diagnosis("coarse-dtype", sentence, 1.0, ("numerics.dtype",), f"{dtype[0].message}; {where}"))
    steps = [f.step for f in of_codes(findings, "weights.residual")]
    if not steps:
        return result
    causes = []
    for number in steps:
        at = next(i for i, e in enumerate(evidence) if e.step == number)
        causes.append(explain(evidence[at], evidence[at - 1] if at else None))
    named = [c for c in causes if c.name != UNEXPLAINED] or causes
    cause, share = named[0], sum(c.name == named[0].name for c in causes) / len(causes)
    explained = 0.0 if cause.name == UNEXPLAINED else share
    line = f"{cause.evidence}; {at_steps(steps, len(evidence))}"
    codes = ["weights.residual", *(["update.learning-rate"] if cause.name == "untrained-part" else [])]
    result.append(Diagnosis(cause.name, cause.summary, explained, tuple(codes), line, kind=cause.kind))
    return result

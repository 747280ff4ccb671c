"""Did every token get the weight that it should, and do the tokens explain the gradient?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from harness.intent.words import told
from harness.judging import coarse
from harness.judging.evidence import StepEvidence
from harness.judging.objective_words import OBJECTIVES
from harness.oracle.hypotheses import Hypothesis, masked, wrong_parts
from harness.oracle.weighing import Place, weighing
from harness.verdicts.findings import Finding

SOURCE = "floor of this step x margin"


MASKS: Mapping[str, str] = {
    "responses": "the tokens of the responses are trained, and no others",
    "last-answer": "the last answer of each row alone is trained",
    "everything": "prompt tokens are trained",
    "no-eos": "the EOS that ends each response is not trained",
    "no-first": "the first token of each response is not trained",
    "shifted": "the loss mask is shifted by one: the last prompt token is trained, the EOS is not",
    "late": "the loss mask is a token late: the first token of each response is not trained, the padding behind"
    " its EOS is",
    "with-tag": "the last prompt token, the tag that opens a response, is trained with it",
    "into-next": "the first token of packed rows is trained, predicted by the last one of the row before",
    "as-marked": "the tokens that the framework marked are trained, which are not those of the responses",
}
"""What a mask is that is not the intended one, in words."""


def token_weights(evidence: StepEvidence) -> list[Finding]:
    """One finding for each thing that is wrong with the weights; `weights.uneven` for what nothing explains."""
    hypothesis = evidence.fit.hypothesis
    findings = [_PARTS[part](evidence, hypothesis) for part in wrong_parts(hypothesis)]
    # Where the tokens do not explain the gradient, `residual` says so, and single weights mean nothing.
    if not evidence.fit.excess <= 1.0 and evidence.residual <= evidence.floor.tolerance("residual"):
        findings.append(_uneven(evidence))
    return findings


def _mask(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    token = _most_telling(evidence, hypothesis)
    return Finding(
        "weights.mask",
        f"{MASKS[hypothesis.mask]} at step {evidence.step} (weight x N of {token.what}: {token.weight:.3g}, expected"
        f" {token.expected:.4g}, allowed {evidence.floor.tolerance('token'):.1g})",
        step=evidence.step,
        observed=token.weight,
        expected=token.expected,
        tolerance=evidence.floor.tolerance("token"),
        tolerance_source=SOURCE,
        detail={"mask": hypothesis.mask},
    )


class _Token(NamedTuple):
    """A token that shows a wrong mask."""

    what: str
    weight: float
    """Times N, as recovered."""
    expected: float


def _most_telling(evidence: StepEvidence, hypothesis: Hypothesis) -> _Token:
    """The heaviest token outside the responses if the mask trains any, else the heaviest response token left out."""
    w = weighing(evidence.right, evidence.floor)
    trained = masked(w, hypothesis.mask)
    added = trained & ~w.trained & evidence.tokens.told
    left_out = w.trained & ~trained
    told = left_out & evidence.tokens.told
    left_out = told if bool(told.any()) else left_out
    weights, usual = evidence.tokens.slots, evidence.right.intent.trained == "responses"
    if bool(added.any()) or not bool(left_out.any()):
        added = added if bool(added.any()) else trained & ~w.trained
        what = "a token outside the responses" if usual else "a token that should not be"
        return _Token(what, _heaviest(weights[added]), 0.0)
    wanted = evidence.right.slot_weights * evidence.clip_expected * evidence.right.targets
    what = "a token of the responses that is left out" if usual else "a token that is left out"
    return _Token(what, _heaviest(weights[left_out]), _heaviest(wanted[left_out]))


def _heaviest(weights: Tensor) -> float:
    return float(weights[int(weights.abs().argmax())])


def _rounded(value: float) -> float:
    """To rank by: of values alike but for rounding, the first is named on every machine."""
    return float(f"{value:.4g}")


def by_micro_batch(places: frozenset[Place]) -> dict[int, list[int]]:
    """Ranks of each micro-batch."""
    result: dict[int, list[int]] = {}
    for rank, number in sorted(places, key=lambda p: (p[1], p[0])):
        result.setdefault(number, []).append(rank)
    return result


def _dropped(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    count = evidence.right.micro_batches
    on = by_micro_batch(hypothesis.dropped)
    dropped = sorted(on)
    ranks = sorted({rank for rank, _ in hypothesis.dropped})
    same = all(found == ranks for found in on.values())
    where = f"on ranks {', '.join(map(str, ranks))}" if same else f"on some of the ranks {', '.join(map(str, ranks))}"
    kept = [m for m in range(count) if m not in on]
    return Finding(
        "weights.dropped-micro-batches",
        f"token weights at step {evidence.step}: micro-batches {', '.join(map(str, dropped))} of"
        f" {count} have weight 0 {where}"
        f" (expected {_largest(evidence)}/{evidence.right.targets} each,"
        f" allowed {evidence.floor.tolerance('token'):.1g} relative)",
        step=evidence.step,
        observed=0.0,
        expected=evidence.right.largest / evidence.right.targets,
        tolerance=evidence.floor.tolerance("token"),
        tolerance_source=SOURCE,
        detail={
            "dropped": dropped,
            "kept": kept,
            "of": count,
            "ranks": ranks,
            "places": sorted(map(list, hypothesis.dropped)),
        },
    )


def _largest(evidence: StepEvidence) -> str:
    """What a token should weigh, x N; where they should differ, at most."""
    return f"{'' if evidence.right.intent.uniform else 'up to '}{evidence.right.largest:.4g}"


def _level(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    every = evidence.tokens.rows
    rows = [r for r in every if abs(r.weight) > evidence.floor.tolerance("token")] or every
    means = hypothesis.level != "token"
    low, high = (pick(rows, key=lambda r: _rounded(r.weight if means else r.expected)) for pick in (min, max))
    how = f"a mean over each {hypothesis.level}" if means else "a mean over all tokens"
    wanted = f"{high.expected:.4g} for all"
    if not evidence.right.intent.uniform:
        wanted = f"{low.expected:.4g} and {high.expected:.4g}, by {told(evidence.right.intent.aggregation)}"
    return Finding(
        "weights.mean-of-means" if means else "weights.aggregation",
        f"token weights at step {evidence.step} follow {how}: x N they run from"
        f" {low.weight:.4g} (row {low.row}, {low.trained} tokens) to {high.weight:.4g} (row {high.row},"
        f" {high.trained} tokens), expected {wanted}",
        step=evidence.step,
        observed=high.weight,
        expected=high.expected,
        tolerance=evidence.floor.tolerance("row"),
        tolerance_source=SOURCE,
        detail={"level": hypothesis.level, "lowest": low.weight, "highest": high.weight},
    )


def _pieces(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    way = hypothesis.pieces
    assert way is not None
    told = {
        "chunks": f"a mean over each chunk of {way.size} positions, then over the chunks",
        "positions": "a mean over all positions of a micro-batch, ignored ones too",
        "cut off": f"nothing behind the first {', '.join(map(str, sorted(set(way.lengths))))} tokens of a sequence",
    }[way.kind]
    low, high = (pick(evidence.tokens.rows, key=lambda r: _rounded(r.weight)) for pick in (min, max))
    return Finding(
        "weights.mask" if way.kind == "cut off" else "weights.mean-of-means",
        f"token weights at step {evidence.step} follow {told}: x N they run from {low.weight:.4g} (row {low.row},"
        f" {low.trained} tokens, in the mean) to {high.weight:.4g} (row {high.row}, {high.trained} tokens), expected"
        f" {_largest(evidence)} each",
        step=evidence.step,
        observed=low.weight,
        expected=low.expected,
        tolerance=evidence.floor.tolerance("row"),
        tolerance_source=SOURCE,
        detail={"pieces": way.kind, "size": way.size, "lengths": list(way.lengths)},
    )


def _scale(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    scale = hypothesis.scale
    return Finding(
        "weights.scale",
        f"the gradient at step {evidence.step} before clipping is {scale.factor:.6g} times what it should be:"
        f" {scale.name} (norm {evidence.norm_used:.6g} reached the optimizer, expected"
        f" {evidence.norm_right * evidence.clip_expected:.6g})",
        step=evidence.step,
        observed=scale.factor,
        expected=1.0,
        tolerance=evidence.floor.tolerance("row"),
        tolerance_source=SOURCE,
        detail={"factor": scale.factor, "equals": scale.name},
    )


def _clip(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    limit = evidence.right.intent.max_grad_norm
    at = "no limit" if limit is None else f"limit {limit}"
    kinds = {
        "none": "the gradient was not clipped",
        "per-rank": "every rank clipped its own gradient before they were averaged",
        "before-averaging": "the gradient was clipped before it was divided by the number of ranks",
        "before-unscaling": "the gradient was clipped before it was divided by the scale of the loss",
        "other": f"the gradient was clipped to {hypothesis.limit}",
    }
    return Finding(
        "update.clip",
        f"{kinds[hypothesis.clip]} at step {evidence.step}: norm {evidence.norm_used:.6g} reached the optimizer,"
        f" expected {evidence.norm_right * evidence.clip_expected:.6g} ({at})",
        step=evidence.step,
        observed=evidence.norm_used,
        expected=evidence.norm_right * evidence.clip_expected,
        tolerance=evidence.floor.tolerance("norm"),
        tolerance_source=SOURCE,
        detail={"clip": hypothesis.clip, "limit": hypothesis.limit},
    )


def _objective(evidence: StepEvidence, hypothesis: Hypothesis) -> Finding:
    most = max(evidence.tokens.rows, key=lambda r: _rounded(abs(r.weight - r.expected)))
    return Finding(
        "weights.objective",
        f"token weights at step {evidence.step} follow another objective: {OBJECTIVES[hypothesis.objective]}; x N row"
        f" {most.row} (rank {most.rank}, micro-batch {most.micro_batch}) weighs {most.weight:.4g}, expected"
        f" {most.expected:.4g}",
        step=evidence.step,
        rank=most.rank,
        micro_batch=most.micro_batch,
        observed=most.weight,
        expected=most.expected,
        tolerance=evidence.floor.tolerance("row"),
        tolerance_source=SOURCE,
        detail={"objective": hypothesis.objective},
    )


_PARTS: dict[str, Callable[[StepEvidence, Hypothesis], Finding]] = {
    "mask": _mask,
    "dropped": _dropped,
    "objective": _objective,
    "level": _level,
    "pieces": _pieces,
    "scale": _scale,
    "clip": _clip,
}


def _uneven(evidence: StepEvidence) -> Finding:
    """The conversation whose mean weight is farthest from what the closest hypothesis says, else the token."""
    w = weighing(evidence.right, evidence.floor, evidence.observed.terms)
    off = (evidence.observed.weights - evidence.fit.predicted) * evidence.right.targets * w.told
    trained = [i for i, c in enumerate(evidence.right.conversations) if c.targets]
    means = zip(trained, (w.row_mean @ off).abs().tolist(), strict=True)
    number, worst = max(means, key=lambda found: _rounded(found[1]))
    c = evidence.right.conversations[number]
    row = next(r for r in evidence.tokens.rows if (r.rank, r.micro_batch, r.row) == (c.rank, c.micro_batch, c.row))
    relative = worst / evidence.right.largest
    return Finding(
        "weights.uneven",
        f"weights at step {evidence.step} fit no known cause: row {c.row} (rank {c.rank}, micro-batch {c.micro_batch})"
        f" weighs {row.weight:.6g} x 1/N, expected {row.expected:.6g} ({relative:.2g} off, allowed"
        f" {evidence.floor.tolerance('row'):.1g}; single tokens up to {float(off.abs().max()):.2g})",
        step=evidence.step,
        rank=c.rank,
        micro_batch=c.micro_batch,
        observed=row.weight,
        expected=row.expected,
        tolerance=evidence.floor.tolerance("row"),
        tolerance_source=SOURCE,
        detail={"row": c.row},
    )


def residual(evidence: StepEvidence) -> list[Finding]:
    """`weights.residual` or, if a coarser dtype would leave as much, `numerics.dtype`."""
    allowed = evidence.floor.tolerance("residual")
    if evidence.residual <= allowed:
        return []
    if (bfloat16 := coarse.explaining_floor(evidence)) is not None:
        return [
            Finding(
                "numerics.dtype",
                f"the gradient at step {evidence.step} carries rounding of {evidence.residual:.2g} (relative),"
                f" expected at most {allowed:.1g} in {evidence.right.intent.precision}; bfloat16 gives"
                f" {bfloat16.residual:.2g}",
                step=evidence.step,
                observed=evidence.residual,
                expected=evidence.floor.residual,
                tolerance=allowed,
                tolerance_source=SOURCE,
                detail={"dtype": "bf16"},
            )
        ]
    return [
        Finding(
            "weights.residual",
            f"{evidence.residual:.3g} of the gradient's length at step {evidence.step} cannot come from the batch's own"
            f" tokens (allowed {allowed:.1g})",
            step=evidence.step,
            observed=evidence.residual,
            expected=0.0,
            tolerance=allowed,
            tolerance_source=SOURCE,
        )
    ]

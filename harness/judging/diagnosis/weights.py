"""Causes that stand in the weights of the tokens: one for each wrong part of the hypothesis that explains them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.intent.words import told
from harness.judging.diagnosis.wording import at_steps, fraction, listed
from harness.judging.evidence import StepEvidence
from harness.judging.objective_words import OBJECTIVES
from harness.oracle import hypotheses, levels
from harness.oracle.factors import UNNAMED, Scale, named_factors
from harness.oracle.hypotheses import Hypothesis
from harness.oracle.weighing import weighing
from harness.verdicts.findings import Diagnosis


class Words(NamedTuple):
    """What is said of one wrong part of a hypothesis."""

    cause: str
    telling: str
    """What tells it from another of that cause, for `Diagnosis.kind`."""
    summary: str
    measured: tuple[str, ...]
    """For `Diagnosis.measured`."""
    code: str | None = None
    """Of the finding, where it is not the usual one of that part."""

    @property
    def kind(self) -> str:
        return f"{self.cause}: {self.telling}"


def _mask(h: Hypothesis, e: StepEvidence) -> Words:
    sentences = {
        "responses": "the tokens of the responses alone are trained, though others are meant to be",
        "last-answer": "the last answer of each row alone is trained, though those before it are meant to be, too",
        "everything": "prompt tokens are trained as if they were responses",
        "no-eos": "the EOS token that ends a response is never trained, so the model does not learn to stop",
        "no-first": "the first token of every response is never trained",
        "with-tag": "the tag that opens a response is trained as if it were part of it",
        "shifted": "the loss mask is shifted by one: the last prompt token is trained and the EOS never is",
        "late": "the loss mask is a token late: the first token of every response is never trained, and what follows"
        " its EOS is, which is padding here",
        "into-next": "the first token of every row that is packed behind another one is trained: it is predicted from"
        " the last token of a row that it has nothing to do with",
        "as-marked": "the tokens that the framework marked are trained, which are not those of the responses",
    }
    if h.mask == "no-eos" and e.scenario is not None and e.scenario.tokenizer.pad_token != "own":
        why = (
            "the EOS that ends a response is never trained: it is the padding token as well, whose labels are left out"
        )
        return Words("loss-mask", "padding's id", why, (h.mask,))
    return Words("loss-mask", h.mask, sentences[h.mask], (h.mask,))


class Survivors(NamedTuple):
    """Which micro-batches reached the optimizer where others did not."""

    phrase: str
    measured: str
    """`first and last`, `last`, `first` or `others`."""


def _survivors(dropped: Sequence[int], count: int) -> Survivors:
    kept = [m for m in range(count) if m not in dropped]
    if not kept:
        return Survivors("others did on some ranks", "others")
    names = {
        (0, count - 1): Survivors("first and last did", "first and last"),
        (count - 1,): Survivors("only the last did", "last"),
        (0,): Survivors("only the first did", "first"),
    }
    return names.get(tuple(kept), Survivors(f"only {listed(kept)} did", "others"))


def _dropped(h: Hypothesis, e: StepEvidence) -> Words:
    count, ranks = e.right.micro_batches, e.right.intent.ranks
    on = {m: sorted(r for r, n in h.dropped if n == m) for _, m in h.dropped}
    everywhere = all(len(r) == ranks for r in on.values())
    who = {1: "on the only rank", 2: "on both ranks"}.get(ranks, f"on all {ranks} ranks")
    numbers = sorted(on)
    where = who if everywhere else "; ".join(f"micro-batch {m} on rank {listed(r)}" for m, r in sorted(on.items()))
    plural = "micro-batches" if len(numbers) > 1 else "micro-batch"
    places = [str(m) if len(on[m]) == ranks else f"{m} (rank {listed(on[m])})" for m in numbers]
    survivors = _survivors(numbers, count)
    return Words(
        "dropped-micro-batches",
        f"{', '.join(places)} of {count}",
        f"{plural} {listed(numbers)} of {count} never reached the optimizer, {where} ({survivors.phrase})",
        (survivors.measured,),
    )


def _level(h: Hypothesis, e: StepEvidence) -> Words:
    level = "token" if h.level == levels.INTENDED else h.level
    if level == "token":
        wanted = told(e.right.intent.aggregation)
        return Words(
            "aggregation",
            level,
            f"all tokens weigh alike, though {wanted} is intended",
            (level,),
            "weights.aggregation",
        )
    what = {
        "micro-batch": "each micro-batch is averaged by itself, then the micro-batches",
        "rank": "each rank averages its own tokens, then the ranks are averaged",
        "micro-step": "tokens are pooled over the ranks, but each micro-step is averaged by itself",
        "row": "each conversation is averaged by itself, then the conversations",
    }
    summary = f"mean of means: {what[level]}, so a token in short company weighs more than one in long"
    return Words("mean-of-means", level, summary, levels.same_levels(e.right.intent, level))


def _objective(h: Hypothesis, e: StepEvidence) -> Words:
    return Words("objective", h.objective, OBJECTIVES[h.objective], (h.objective,))


def _pieces(h: Hypothesis, e: StepEvidence) -> Words:
    way = h.pieces
    assert way is not None
    lengths = listed(sorted(set(way.lengths))) if way.lengths else ""
    return {
        "chunks": Words(
            "loss-in-pieces",
            "chunks",
            f"the loss is computed in chunks of {way.size} positions, and each is averaged by itself",
            ("chunks",),
        ),
        "positions": Words(
            "loss-in-pieces",
            "ignored positions counted",
            "the loss of a micro-batch is divided by all of its positions, those that are ignored as well",
            ("ignored positions counted",),
        ),
        "cut off": Words(
            "loss-mask",
            "cut off",
            f"what lies behind the first {lengths} tokens of a sequence is not trained",
            ("cut off",),
            "weights.mask",
        ),
    }[way.kind]


def short(scale: Scale) -> str:
    """A factor's name in short; whether it is above 1 where it has none, for its size is measured."""
    if scale.name == UNNAMED:
        return "too long" if scale.factor > 1 else "too short"
    return scale.name.replace("gradient_accumulation_steps", "GA")


def names(e: StepEvidence, scale: Scale) -> tuple[str, ...]:
    """Every name that a factor has in these windows, in short."""
    named = [short(s) for s in named_factors(e.right) if s.factor == scale.factor]
    return tuple(named) or (short(scale),)


def _scale(h: Hypothesis, e: StepEvidence) -> Words:
    s = h.scale
    size = f"{fraction(s.factor)} times" if s.factor > 1 else f"{fraction(s.factor)} of"
    return Words("gradient-scale", short(s), f"the gradient is {size} what it should be: {s.name}", names(e, s))


def _clip(h: Hypothesis, e: StepEvidence) -> Words:
    sentences = {
        "none": f"the gradient is not clipped at {e.right.intent.max_grad_norm}",
        "per-rank": "every rank clips its own gradient before they are averaged",
        "before-averaging": "the gradient is clipped before it is divided by the number of ranks, so it is too short",
        "before-unscaling": "the gradient is clipped before it is divided by the scale of the loss, so it is too short",
        "other": f"the gradient is clipped to a norm of {h.limit}, which should be {e.right.intent.max_grad_norm}",
    }
    if e.right.intent.max_grad_norm is None:
        sentences["other"] = f"the gradient is clipped to a norm of {h.limit}, and should not be"
    return Words("clipping", h.clip, sentences[h.clip], (h.clip,))


_PARTS: dict[str, tuple[str, Callable[[Hypothesis, StepEvidence], Words]]] = {
    "mask": ("weights.mask", _mask),
    "dropped": ("weights.dropped-micro-batches", _dropped),
    "objective": ("weights.objective", _objective),
    "level": ("weights.mean-of-means", _level),
    "pieces": ("weights.mean-of-means", _pieces),
    "scale": ("weights.scale", _scale),
    "clip": ("update.clip", _clip),
}


def _by_micro_batch(e: StepEvidence) -> str:
    """Recovered weights x N of a step in a line: `rank 0: 1.00 0.00 ...; rank 1: ...`."""
    intent = e.right.intent
    lines = []
    for rank in range(intent.ranks):
        cells = []
        for number in range(e.right.micro_batches):
            rows = [r for r in e.tokens.rows if (r.rank, r.micro_batch) == (rank, number)]
            tokens = sum(r.trained for r in rows)
            mean = sum(r.weight * r.trained for r in rows) / tokens if tokens else 0.0
            cells.append(f"{round(mean, 4) + 0.0:.4f}" if tokens else "-")  # + 0.0: no -0.0000
        lines.append(f"rank {rank}: {' '.join(cells)}")
    return "; ".join(lines)


def _right(e: StepEvidence) -> str:
    """What tokens should weigh, x N."""
    return f"{e.right.largest:.4f} each" if e.right.intent.uniform else f"up to {e.right.largest:.4f}"


def _in_all(steps: Sequence[StepEvidence]) -> Hypothesis:
    """That of the first of these steps; and what other ones lack of which the first could tell nothing."""
    first = steps[0]
    told = hypotheses.weighing_places(weighing(first.right, first.floor))
    alike = (e.fit.hypothesis.dropped for e in steps if e.right.micro_batches == first.right.micro_batches)
    untold = (dropped - told for dropped in alike)
    return replace(first.fit.hypothesis, dropped=first.fit.hypothesis.dropped.union(*untold))


def diagnoses(evidence: Sequence[StepEvidence], codes: set[str]) -> list[Diagnosis]:
    """One for each part that is wrong in any step; `codes`: those of all findings."""
    result = []
    for part, (code, words) in _PARTS.items():
        steps = [e for e in evidence if part in hypotheses.wrong_parts(e.fit.hypothesis)]
        if not steps:
            continue
        first = steps[0]
        said = words(_in_all(steps), first)
        share = [hypotheses.shares(e.right, e.observed, e.fit.hypothesis, e.floor)[part] for e in steps]
        line = (
            f"weights x N by micro-batch at step {first.step}: {_by_micro_batch(first)}"
            f" (right: {_right(first)}); {at_steps([e.step for e in steps], len(evidence))}"
        )
        explains = sum(share) / len(share)
        result.append(
            Diagnosis(
                said.cause, said.summary, explains, (said.code or code,), line, kind=said.kind, measured=said.measured
            )
        )
    if "weights.uneven" in codes:
        first = next(e for e in evidence if e.fit.excess > 1.0)
        line = f"weights x N by micro-batch at step {first.step}: {_by_micro_batch(first)}"
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

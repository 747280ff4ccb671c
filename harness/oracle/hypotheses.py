"""How trainers weigh tokens wrongly, as a generative model: mask, dropping, averaging, scale, clipping.

Each hypothesis predicts the weight of every token of a step; the simplest that reproduces the recovered weights within
the noise floor explains them. Faults compose: half of the micro-batches dropped, means of means over the rest and
a factor 1/GA on top is one hypothesis with three parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from adapters.contract import Scenario
from harness.oracle import floor
from harness.oracle.floor import Floor
from harness.oracle.recorded_basis import RecordedBasis
from harness.oracle.step import RightStep, clip_coefficient

Mask = Literal["responses", "everything", "no-eos", "no-first", "shifted", "late", "with-tag", "as-marked"]
Level = Literal["token", "micro-batch", "rank", "micro-step", "row"]
Clip = Literal["right", "none", "per-rank", "before-averaging"]

MASKS: tuple[Mask, ...] = ("responses", "everything", "no-eos", "no-first", "shifted", "late", "with-tag", "as-marked")
"""Which tokens are trained. Of two that come to the same the first is named; `as-marked`: by the labels that the model
received, whatever made them."""
LEVELS: tuple[Level, ...] = ("token", "micro-batch", "rank", "micro-step", "row")
CLIPS: tuple[Clip, ...] = ("right", "none", "per-rank", "before-averaging")

Place = tuple[int, int]
"""Rank and micro-batch."""

_AXES: dict[Level, tuple[str, ...]] = {
    "token": (),
    "micro-batch": ("rank", "micro-batch"),
    "rank": ("rank",),
    "micro-step": ("micro-batch",),
    "row": ("rank", "micro-batch", "row"),
}
"""What two tokens must share to be in one mean."""


@dataclass(frozen=True)
class Scale:
    """A factor on the whole gradient, and what it equals."""

    factor: float
    name: str


UNIT = Scale(1.0, "1")
UNNAMED = "no known quantity"


@dataclass(frozen=True)
class Hypothesis:
    """One way to weigh the tokens of a step. The default is the right one."""

    mask: Mask = "responses"
    dropped: frozenset[Place] = frozenset()
    level: Level = "token"
    scale: Scale = UNIT
    clip: Clip = "right"

    @property
    def parts(self) -> int:
        """How many things are wrong at once; fewer is simpler."""
        return (
            (self.mask != "responses")
            + bool(self.dropped)
            + (self.level != "token")
            + (self.scale != UNIT)
            + (self.clip != "right")
        )


@dataclass(frozen=True)
class Fit:
    """A hypothesis held against the recovered weights."""

    hypothesis: Hypothesis
    predicted: Tensor
    """float64 [columns], as the optimizer would get them."""
    norm: float
    """Gradient norm before clipping that the hypothesis implies."""
    error: float
    """Length of predicted minus recovered weights, as a share of the right weights' length."""
    excess: float
    """Largest deviation over its tolerance, of single tokens and of rows; at most 1 fits."""


@dataclass(frozen=True)
class Weighing:
    """A step's slots as arrays, so that hypotheses are products of vectors. All are [slots]."""

    right: RightStep
    trained: Tensor
    marked: Tensor | None
    """Which are trained by the labels that the model received; None if it received none."""
    rank: Tensor
    micro_batch: Tensor
    conversation: Tensor
    group: Tensor
    """Index of (rank, micro-batch), as in `places`."""
    places: tuple[Place, ...]
    row_mean: Tensor
    """float64 [conversations, columns]: takes weights to the mean over each conversation's trained tokens, those that
    can be told."""
    told: Tensor
    """bool [columns]: whose weights can be told. No other is held against anything."""

    @property
    def ranks(self) -> int:
        return self.right.scenario.ranks

    @property
    def accumulation(self) -> int:
        return self.right.scenario.accumulation


def weighing(right: RightStep, noise: Floor) -> Weighing:
    """The slots of a step as arrays; `noise` tells which tokens' weights can be told."""
    told = floor.told(right, noise)
    owners = [right.conversations[slot.conversation] for slot in right.slots]
    places = tuple(sorted({c.place for c in right.conversations}))
    return Weighing(
        right=right,
        trained=torch.tensor([slot.trained for slot in right.slots]),
        marked=_marked(right),
        rank=torch.tensor([c.rank for c in owners]),
        micro_batch=torch.tensor([c.micro_batch for c in owners]),
        conversation=torch.tensor([slot.conversation for slot in right.slots]),
        group=torch.tensor([places.index(c.place) for c in owners]),
        places=places,
        row_mean=_row_mean(right, told),
        told=told,
    )


def _marked(right: RightStep) -> Tensor | None:
    marks = [right.conversations[slot.conversation].marked for slot in right.slots]
    if any(mark is None for mark in marks):
        return None
    return torch.tensor([bool(mark and mark[slot.position]) for mark, slot in zip(marks, right.slots, strict=True)])


def _row_mean(right: RightStep, told: Tensor) -> Tensor:
    rows = floor.rows(right)
    result = torch.zeros(len(rows), len(right.basis.losses), dtype=torch.float64)
    for i, columns in enumerate(rows):
        result[i, columns] = 1.0
    result = result * told
    return result / result.sum(1, keepdim=True).clamp_min(1.0)


def named_factors(scenario: Scenario) -> tuple[Scale, ...]:
    """Factors that trainers are known to get wrong; several may have one size."""
    base = {
        "gradient_accumulation_steps": scenario.accumulation,
        "world size": scenario.ranks,
        "micro-batch size": scenario.micro_batch_size,
        "gradient_accumulation_steps x world size": scenario.accumulation * scenario.ranks,
    }
    both = ((Scale(float(v), n), Scale(1.0 / v, f"1/({n})" if " x " in n else f"1/{n}")) for n, v in base.items())
    return tuple(scale for pair in both for scale in pair)


def scales(right: RightStep) -> tuple[Scale, ...]:
    """Factors that trainers are known to get wrong, 1 first; of those that coincide only the first is there."""
    result = {UNIT.factor: UNIT}
    for scale in named_factors(right.scenario):
        result.setdefault(scale.factor, scale)
    return tuple(result.values())


def same_levels(scenario: Scenario, level: Level) -> tuple[Level, ...]:
    """Levels of averaging that are one with `level` in this scenario, itself among them: on one rank, a micro-step is
    one micro-batch."""
    several = {
        "rank": scenario.ranks > 1,
        "micro-batch": scenario.accumulation > 1,
        "row": scenario.micro_batch_size * scenario.rows_per_sequence > 1,
    }

    def told_apart(by: Level) -> frozenset[str]:
        return frozenset(axis for axis in _AXES[by] if several[axis])

    return tuple(other for other in LEVELS if told_apart(other) == told_apart(level))


def _following(w: Weighing) -> Tensor:
    """Whether the next token of the conversation is to be trained; False at its end."""
    same = torch.cat((w.conversation[1:] == w.conversation[:-1], torch.tensor([False])))
    return torch.cat((w.trained[1:], torch.tensor([False]))) & same


def _preceding(w: Weighing) -> Tensor:
    """Whether the token before, in the conversation, is to be trained; False at its start."""
    same = torch.cat((torch.tensor([False]), w.conversation[1:] == w.conversation[:-1]))
    return torch.cat((torch.tensor([False]), w.trained[:-1])) & same


_MASKED: dict[Mask, Callable[[Weighing], Tensor]] = {
    "responses": lambda w: w.trained,
    "everything": lambda w: torch.ones_like(w.trained),
    "no-eos": lambda w: w.trained & _following(w),
    "no-first": lambda w: w.trained & _preceding(w),
    "shifted": _following,
    "late": _preceding,
    "with-tag": lambda w: w.trained | _following(w),
    "as-marked": lambda w: w.trained if w.marked is None else w.marked,
}


def masked(w: Weighing, mask: Mask) -> Tensor:
    """Which slots are trained under a mask: bool [slots]."""
    return _MASKED[mask](w)


def _shares(w: Weighing, mask: Tensor, level: Level) -> Tensor:
    """Weight of each slot before dropping, scale and clipping: float64 [slots]."""
    one = mask.double()
    keys = {
        "token": (torch.zeros_like(w.rank), 1),
        "micro-batch": (w.group, w.ranks * w.accumulation),
        "rank": (w.rank, w.ranks),
        "micro-step": (w.micro_batch, w.accumulation),
        "row": (w.conversation, len(w.right.conversations)),
    }
    key, groups = keys[level]
    count = torch.zeros(int(key.max()) + 1, dtype=torch.float64).index_add(0, key, one)
    return one / (count[key].clamp_min(1.0) * groups)


@dataclass(frozen=True)
class Unclipped:
    """A way of weighing before scale and clipping, as columns of the basis."""

    right: RightStep
    columns: Tensor
    """float64 [columns]."""
    by_rank: tuple[Tensor, ...]
    """What each rank contributes to `columns`."""

    @cached_property
    def norm(self) -> float:
        """Of its gradient."""
        return self.right.norm if torch.equal(self.columns, self.right.weights) else self.right.basis.norm(self.columns)

    @cached_property
    def rank_norms(self) -> tuple[float, ...]:
        """Norm of each rank's own gradient, before the average over the ranks divides it."""
        basis = self.right.basis
        if isinstance(basis, RecordedBasis):
            return basis.rank_norms(self.by_rank, self.right.scenario.max_grad_norm)
        return tuple(len(self.by_rank) * basis.norm(part) for part in self.by_rank)


def unclipped(w: Weighing, mask: Mask, level: Level, dropped: frozenset[Place]) -> Unclipped:
    """Weights before scale and clipping."""
    slots = _shares(w, masked(w, mask), level)
    for place in dropped:
        slots = slots * (w.group != w.places.index(place))
    parts = tuple(w.right.by_column(slots * (w.rank == rank)) for rank in range(w.ranks))
    return Unclipped(w.right, w.right.by_column(slots), parts)


def _clipped(base: Unclipped, factor: float, clip: Clip, limit: float | None) -> Tensor:
    """Weights [columns] after scale and clipping."""
    if clip == "per-rank":
        factors = [clip_coefficient(factor * norm, limit) for norm in base.rank_norms]
        return factor * torch.stack([f * part for f, part in zip(factors, base.by_rank, strict=True)]).sum(0)
    if clip == "none":
        return factor * base.columns
    seen = factor * base.norm * (len(base.by_rank) if clip == "before-averaging" else 1)
    return factor * clip_coefficient(seen, limit) * base.columns


def predict(w: Weighing, hypothesis: Hypothesis, base: Unclipped | None = None) -> tuple[Tensor, float]:
    """Weights [columns] as the optimizer would get them, and the gradient norm before clipping."""
    if base is None:
        base = unclipped(w, hypothesis.mask, hypothesis.level, hypothesis.dropped)
    factor = hypothesis.scale.factor
    return _clipped(base, factor, hypothesis.clip, w.right.scenario.max_grad_norm), factor * base.norm


def compare(w: Weighing, hypothesis: Hypothesis, recovered: Tensor, noise: Floor, base: Unclipped | None = None) -> Fit:
    """Hold a hypothesis against recovered weights [columns]."""
    predicted, norm = predict(w, hypothesis, base)
    off = (recovered - predicted) * w.told
    # Weights are compared on the scale of the recovered ones: noise grows with the gradient.
    unit = float((recovered * w.told).abs().max().clamp_min(1e-300))
    by_token = float(off.abs().max()) / unit / noise.tolerance("token")
    by_row = float((w.row_mean @ off).abs().max()) / unit / noise.tolerance("row")
    error = float(off.norm() / (w.right.weights * w.right.clip).norm())
    return Fit(hypothesis, predicted, norm, error, max(by_token, by_row))


def dropped_places(w: Weighing, recovered: Tensor, noise: Floor) -> frozenset[Place]:
    """Micro-batches of which nothing seems to have reached the optimizer, unless that is all of them.

    In a coarse dtype a small weight looks like none, so this is a suspicion.
    """
    columns = torch.tensor([slot.column for slot in w.right.slots])
    per_slot, trained = (recovered * w.told)[columns].abs(), w.trained & w.told[columns]
    limit = float(per_slot.max()) * max(noise.tolerance("token"), 1e-6)
    silent = frozenset(
        place
        for i, place in enumerate(w.places)
        if bool((trained & (w.group == i)).any()) and float(per_slot[trained & (w.group == i)].max()) <= limit
    )
    return silent if len(silent) < len(w.places) else frozenset()


def candidates(w: Weighing, suspected: frozenset[Place]) -> list[Hypothesis]:
    """All combinations, simplest first."""
    clips = CLIPS if w.right.scenario.max_grad_norm is not None else CLIPS[:1]
    drops = {frozenset[Place](), suspected}
    marks_tell = w.marked is not None and not torch.equal(w.marked, w.trained)
    masks = MASKS if marks_tell else MASKS[:-1]
    every = itertools.starmap(Hypothesis, itertools.product(masks, drops, LEVELS, scales(w.right), clips))
    return sorted(every, key=lambda h: h.parts)


def explain(right: RightStep, recovered: Tensor, noise: Floor) -> Fit:
    """The simplest hypothesis that fits the recovered weights [columns], else the closest one.

    Among those that do not fit, a more complicated one must halve the error to be preferred.
    """
    w = weighing(right, noise)
    plain = compare(w, Hypothesis(), recovered, noise)
    if plain.excess <= 1.0:
        return plain
    best, bases = plain, {}
    for hypothesis in candidates(w, dropped_places(w, recovered, noise)):
        key = hypothesis.mask, hypothesis.level, hypothesis.dropped
        if key not in bases:
            bases[key] = unclipped(w, *key)
        fit = compare(w, hypothesis, recovered, noise, bases[key])
        if fit.excess <= 1.0:
            return fit
        extra = max(0, hypothesis.parts - best.hypothesis.parts)
        if fit.error < best.error * 0.5**extra:
            best = fit
    return _with_free_scale(w, best, recovered, noise)


def _with_free_scale(w: Weighing, best: Fit, recovered: Tensor, noise: Floor) -> Fit:
    """One factor of any size on top of the closest hypothesis, if that explains all; else it would fit noise."""
    unit, norm = predict(w, replace(best.hypothesis, clip="none", scale=UNIT))
    seen = unit * w.told
    factor = float(recovered @ seen / (seen @ seen).clamp_min(1e-300))
    limit = w.right.scenario.max_grad_norm
    clip: Clip = "right" if limit is None or factor * norm <= limit else "none"
    scaled = replace(best.hypothesis, scale=Scale(factor, UNNAMED), clip=clip)
    fit = compare(w, scaled, recovered, noise)
    return fit if fit.excess <= 1.0 else best


def clips(right: RightStep, norm: float) -> bool:
    """Whether a gradient of that norm is clipped."""
    limit = right.scenario.max_grad_norm
    return limit is not None and norm > limit


def shares(right: RightStep, recovered: Tensor, hypothesis: Hypothesis, noise: Floor) -> dict[str, float]:
    """Share of the squared deviation from the right weights that each wrong part explains, with those before it."""
    w = weighing(right, noise)
    base = float(((recovered - right.weights * right.clip) * w.told).square().sum())
    partial = Hypothesis()
    result: dict[str, float] = {}
    for name in wrong_parts(hypothesis):
        partial = replace(partial, **{name: getattr(hypothesis, name)})
        rest = float(((recovered - predict(w, partial)[0]) * w.told).square().sum())
        result[name] = max(0.0, 1.0 - rest / base) if base else 0.0
    return result


def wrong_parts(hypothesis: Hypothesis) -> Sequence[str]:
    """Names of the fields that differ from the right hypothesis, in the order in which a trainer applies them."""
    right = Hypothesis()
    return [n for n in ("mask", "dropped", "level", "scale", "clip") if getattr(hypothesis, n) != getattr(right, n)]

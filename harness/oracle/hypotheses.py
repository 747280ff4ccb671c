"""How trainers weigh tokens wrongly, as a generative model: mask, dropping, averaging, scale, clipping.

Each hypothesis predicts the weight of every token of a step; the simplest that reproduces the recovered weights within
the noise floor explains them. Faults compose: half of the micro-batches dropped, means of means over the rest and
a factor 1/GA on top is one hypothesis with three parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from harness.intent.objective import Level
from harness.oracle import aggregation, levels, masks, pieces, variants
from harness.oracle.basis import OfRecorded
from harness.oracle.clipping import Clipped, Parts
from harness.oracle.factors import UNIT, UNNAMED, Scale, scales
from harness.oracle.floor import Floor
from harness.oracle.levels import INTENDED, Intended
from harness.oracle.masks import MASKS, Mask
from harness.oracle.observe import Observed
from harness.oracle.pieces import Way
from harness.oracle.step import RightStep
from harness.oracle.weighing import Place, Weighing, weighing

Clip = Literal["right", "none", "per-rank", "before-averaging", "before-unscaling", "other"]
"""`other`: at another limit than the intended one."""
CLIPS: tuple[Clip, ...] = ("right", "none", "per-rank", "before-averaging")
"""Those that need no limit to be found, nor a scaled loss. The others are useless where nothing is to be clipped."""

Base = tuple[Mask | Intended, Level | Intended, frozenset[Place], str]
"""What decides weights before scale and clipping: mask, level, what is dropped, and the objective."""

UNDERFLOW = 1e-3
"""Share of a gradient that fp16 may round to nothing where it is too small by the scale of the loss."""

NOTHING = 1e-12
"""Share of the heaviest token's weight that is rounding."""


@dataclass(frozen=True)
class Hypothesis:
    """One way to weigh the tokens of a step. The default is as intended."""

    mask: Mask | Intended = INTENDED
    dropped: frozenset[Place] = frozenset()
    level: Level | Intended = INTENDED
    objective: str = INTENDED
    """A key of `variants.of_step`."""
    scale: Scale = UNIT
    clip: Clip = "right"
    limit: float | None = None
    """What the norm is limited to where `clip` is `other`."""
    pieces: Way | None = None
    """How the loss is put together from pieces, instead of `mask` and `level`."""

    @property
    def parts(self) -> int:
        """How many things are wrong at once; fewer is simpler."""
        return (
            (self.mask != INTENDED)
            + bool(self.dropped)
            + (self.level != INTENDED)
            + (self.objective != INTENDED)
            + (self.pieces is not None)
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
    clips: tuple[float, ...]
    """What each rank's gradient was multiplied by in clipping, as the hypothesis implies."""
    error: float
    """Length of predicted minus recovered weights, as a share of the right weights' length."""
    excess: float
    """Largest deviation over its tolerance, of single tokens and of rows; at most 1 fits."""


def masked(w: Weighing, mask: Mask | Intended) -> Tensor:
    """Which slots are trained under a mask: bool [slots]."""
    if mask == INTENDED:
        return w.trained
    by = [masks.masked(c, mask) for c in w.right.conversations]
    return torch.tensor([by[slot.conversation][slot.position] for slot in w.right.slots])


def _shares(w: Weighing, mask: Mask | Intended, level: Level | Intended, objective: str) -> Tensor:
    """Weight of each slot before dropping, scale and clipping: float64 [slots]."""
    if objective != INTENDED:
        return variants.of_step(w.right)[objective](w.right.places, masked(w, mask))
    return aggregation.weights(w.right.places, masked(w, mask), levels.averaged(w.right.intent.aggregation, level))


@dataclass(frozen=True)
class Unclipped:
    """A way of weighing before scale and clipping, as columns of the basis."""

    right: RightStep
    columns: Tensor
    """float64 [columns]."""
    by_rank: tuple[Tensor, ...]
    """What each rank contributes to `columns`."""
    beside: tuple[Tensor, ...]
    """As of the `Weighing`."""

    @cached_property
    def parts(self) -> Parts:
        """Of its gradient."""
        if self.beside:
            return self._parts(self.columns, torch.stack(self.beside).sum(0))
        same = torch.equal(self.columns, self.right.weights)
        return Parts(self.right.norm if same else self.right.basis.norm(self.columns))

    @cached_property
    def rank_parts(self) -> tuple[Parts, ...]:
        """Of each rank's own gradient, before the average over the ranks divides it."""
        many, basis = len(self.by_rank), self.right.basis
        if self.beside:
            pairs = zip(self.by_rank, self.beside, strict=True)
            return tuple(self._parts(many * part, many * beside) for part, beside in pairs)
        if isinstance(basis, OfRecorded):
            return tuple(map(Parts, basis.rank_norms(self.by_rank, self.right.intent.max_grad_norm)))
        return tuple(Parts(many * basis.norm(part)) for part in self.by_rank)

    def _parts(self, columns: Tensor, beside: Tensor) -> Parts:
        tokens = self.right.basis.gradient(columns)
        return Parts(float(tokens.norm()), float(tokens @ beside), float(beside.norm()))


def unclipped(
    w: Weighing,
    mask: Mask | Intended,
    level: Level | Intended,
    dropped: frozenset[Place],
    objective: str = INTENDED,
) -> Unclipped:
    """Weights before scale and clipping."""
    slots = _shares(w, mask, level, objective)
    for place in dropped:
        slots = slots * (w.group != w.places.index(place))
    return _of_slots(w, slots)


def _of_slots(w: Weighing, slots: Tensor) -> Unclipped:
    """Of weights float64 [slots]."""
    parts = tuple(w.right.by_column(slots * (w.rank == rank)) for rank in range(w.ranks))
    return Unclipped(w.right, w.right.by_column(slots), parts, w.beside)


def _clipped(base: Unclipped, factor: float, clip: Clip, limit: float | None) -> list[Clipped]:
    """How each rank's gradient is clipped at `limit`, and the norm of the whole one."""
    many = len(base.by_rank)
    if clip == "per-rank":
        return [parts.clipped(factor, limit) for parts in base.rank_parts]
    times = {"before-averaging": float(many), "before-unscaling": base.right.loss_scale or 1.0}.get(clip, 1.0)
    return [base.parts.clipped(factor, None if clip == "none" else limit, times)] * many


class Prediction(NamedTuple):
    """What a hypothesis says of a step."""

    weights: Tensor
    """float64 [columns], as the optimizer would get them."""
    norm: float
    """Of the gradient before clipping."""
    clips: tuple[float, ...]
    """What each rank's gradient is multiplied by in clipping."""


def predict(w: Weighing, hypothesis: Hypothesis, base: Unclipped | None = None) -> Prediction:
    """What a hypothesis says of the tokens' weights."""
    if base is None:
        base = _base(w, hypothesis)
    factor = hypothesis.scale.factor
    limit = hypothesis.limit if hypothesis.clip == "other" else w.right.intent.max_grad_norm
    found = _clipped(base, factor, hypothesis.clip, limit)
    clips = tuple(one.coefficient for one in found)
    if hypothesis.clip == "per-rank":
        each = torch.stack([c * part for c, part in zip(clips, base.by_rank, strict=True)]).sum(0)
        return Prediction(factor * each, base.parts.clipped(factor, None).norm, clips)
    return Prediction(factor * clips[0] * base.columns, found[0].norm, clips)


def _base(w: Weighing, hypothesis: Hypothesis) -> Unclipped:
    if hypothesis.pieces is not None:
        return _of_slots(w, pieces.weights(w, hypothesis.pieces))
    return unclipped(w, hypothesis.mask, hypothesis.level, hypothesis.dropped, hypothesis.objective)


def compare(w: Weighing, hypothesis: Hypothesis, recovered: Tensor, noise: Floor, base: Unclipped | None = None) -> Fit:
    """Hold a hypothesis against recovered weights [columns]."""
    predicted, norm, clips = predict(w, hypothesis, base)
    off = (recovered - predicted) * w.told / w.coarseness
    # Weights are compared on the scale of the recovered ones: noise grows with the gradient.
    unit = float((recovered * w.told / w.shared).abs().max().clamp_min(1e-300))
    by_token = float(off.abs().max()) / unit / noise.tolerance("token")
    by_row = float((w.row_mean @ off).abs().max()) / unit / noise.tolerance("row")
    error = float(off.norm() / (w.right.weights * w.right.clip / w.coarseness).norm())
    return Fit(hypothesis, predicted, norm, clips, error, max(by_token, by_row))


def dropped_places(w: Weighing, recovered: Tensor, noise: Floor) -> frozenset[Place]:
    """Micro-batches of which nothing seems to have reached the optimizer, though it should, unless that is all of them.

    In a coarse dtype a small weight looks like none, so this is a suspicion.
    """
    wanted = weighing_places(w)
    silent = wanted - _heard(w, recovered, max(noise.tolerance("token"), 1e-6))
    return silent if silent < wanted else frozenset()


def weighing_places(w: Weighing) -> frozenset[Place]:
    """Micro-batches of which something should reach the optimizer, and can be told. Of rows without an advantage
    nothing should."""
    return _heard(w, w.right.weights, NOTHING)


def _heard(w: Weighing, weights: Tensor, share: float) -> frozenset[Place]:
    """Micro-batches with a trained token that weighs more than that share of the heaviest, by weights [columns]."""
    columns = torch.tensor([slot.column for slot in w.right.slots])
    per_slot, trained = (weights * w.told / w.coarseness)[columns].abs(), w.trained & w.told[columns]
    loud = w.group[trained & (per_slot > share * float(per_slot.max()))]
    return frozenset(w.places[i] for i in loud.tolist())


def candidates(w: Weighing, suspected: frozenset[Place]) -> list[Hypothesis]:
    """All combinations, simplest first."""
    drops = {frozenset[Place](), suspected}
    ways = itertools.product(_masks(w), drops, levels.asked(w.right.intent), [INTENDED], scales(w.right), _clips(w))
    others = itertools.product([INTENDED], drops, [INTENDED], variants.of_step(w.right), scales(w.right), _clips(w))
    return sorted(itertools.starmap(Hypothesis, [*ways, *others]), key=lambda h: h.parts)


def _clips(w: Weighing) -> tuple[Clip, ...]:
    clips = CLIPS if w.right.intent.max_grad_norm is not None else CLIPS[:1]
    return (*clips, "before-unscaling") if len(clips) > 1 and w.right.loss_scale is not None else clips


def _masks(w: Weighing) -> list[Mask | Intended]:
    """What is intended, and every mask that may be taken for something else."""
    marks = [c.marked for c in w.right.conversations]
    told = None not in marks and not torch.equal(masked(w, "as-marked"), w.trained)
    asked = {"as-marked": told, "into-next": any(c.into_next for c in w.right.conversations)}
    others = [mask for mask in MASKS if mask != w.right.intent.trained and asked.get(mask, True)]
    return [INTENDED, *others]


def explain(
    right: RightStep,
    recovered: Tensor,
    noise: Floor,
    told: float | None = None,
    terms: Tensor | None = None,
    in_pieces: bool = False,
) -> Fit:
    """The simplest hypothesis that fits the recovered weights [columns], else the closest one.

    terms: recovered weights [terms]; those of the right step without. in_pieces: whether it may be one of a loss that
    is put together from pieces (`harness.oracle.pieces`).

    Among those that do not fit, a more complicated one must halve the error to be preferred. Clipping makes factors
    alike: of equally simple ones that fit, the first is taken that implies the gradient norm that was `told`, if any.
    """
    w = weighing(right, noise, terms)
    plain = compare(w, Hypothesis(), recovered, noise)
    if plain.excess <= 1.0:
        return plain
    best, bases = plain, dict[Base, Unclipped]()
    fitting: Fit | None = None
    for hypothesis in candidates(w, dropped_places(w, recovered, noise)):
        if fitting is not None and hypothesis.parts > fitting.hypothesis.parts:
            break
        key: Base = hypothesis.mask, hypothesis.level, hypothesis.dropped, hypothesis.objective
        if key not in bases:
            bases[key] = unclipped(w, *key)
        fit = compare(w, hypothesis, recovered, noise, bases[key])
        # Of a recorded gradient alone, clipping of each rank explains any factors of the ranks: the last resort.
        guessed = told is None and hypothesis.clip == "per-rank" and isinstance(right.basis, OfRecorded)
        if fit.excess <= 1.0:
            implied = told is None or abs(told / max(fit.norm, 1e-300) - 1) <= noise.tolerance("norm")
            if implied and not guessed:
                return fit
            fitting = fitting or fit
        extra = max(0, hypothesis.parts - best.hypothesis.parts)
        if hypothesis.objective != INTENDED:
            continue  # one of so many is near anything: it fits, or is none
        if fit.error < best.error * 0.5**extra:
            best = fit
    laid = _in_pieces(w, recovered, noise) if in_pieces and fitting is None else None
    return fitting or laid or _with_free_number(w, bases, recovered, noise) or best


def _in_pieces(w: Weighing, recovered: Tensor, noise: Floor) -> Fit | None:
    """The first way to put a loss together from pieces that explains all; None if none does."""
    for way in pieces.ways(w, recovered):
        base = _of_slots(w, pieces.weights(w, way))
        for scale, clip in itertools.product(scales(w.right), _clips(w)):
            fit = compare(w, Hypothesis(pieces=way, scale=scale, clip=clip), recovered, noise, base)
            if fit.excess <= 1.0:
                return fit
    return None


def _with_free_number(w: Weighing, bases: Mapping[Base, Unclipped], recovered: Tensor, noise: Floor) -> Fit | None:
    """Another limit of clipping, or one factor of any size, on top of the simplest way of weighing that explains all
    with it; None if none does, for then it would fit noise."""
    for (mask, level, dropped, objective), base in bases.items():
        plain = Hypothesis(mask=mask, level=level, dropped=dropped, objective=objective)
        seen = base.columns * w.told
        factor = float(recovered @ seen / (seen @ seen).clamp_min(1e-300))
        norm = base.parts.clipped(1.0, None).norm
        left = factor * norm
        for tried in (_at_other_limit(w, plain, left, norm), _scaled(w, plain, factor, left)):
            if tried is not None and (fit := compare(w, tried, recovered, noise, base)).excess <= 1.0:
                return fit
    return None


def _at_other_limit(w: Weighing, base: Hypothesis, left: float, norm: float) -> Hypothesis | None:
    """The gradient, of that norm before clipping, limited to what is `left` of it, if that is a number that somebody
    would choose: one of two digits. Any factor could be called a limit else."""
    limit = float(f"{left:.2g}")
    if not 0 < limit < norm or limit == w.right.intent.max_grad_norm:
        return None
    return replace(base, clip="other", limit=limit)


def _scaled(w: Weighing, base: Hypothesis, factor: float, left: float) -> Hypothesis:
    """By that factor, which leaves the gradient that norm. In fp16 one that is near a known one is that: the least of a
    gradient that is too small is rounded away."""
    limit = w.right.intent.max_grad_norm
    clip: Clip = "right" if limit is None or left <= limit else "none"
    known = scales(w.right) if w.right.loss_scale is not None else ()
    name = next((s.name for s in known if s is not UNIT and abs(factor / s.factor - 1.0) <= UNDERFLOW), UNNAMED)
    return replace(base, scale=Scale(factor, name), clip=clip)


def clips(right: RightStep, norm: float) -> bool:
    """Whether a gradient of that norm is clipped."""
    limit = right.intent.max_grad_norm
    return limit is not None and norm > limit


def shares(right: RightStep, observed: Observed, hypothesis: Hypothesis, noise: Floor) -> dict[str, float]:
    """Share of the squared deviation from the right weights that each wrong part explains, with those before it."""
    w, recovered = weighing(right, noise, observed.terms), observed.weights
    base = float(((recovered - right.weights * right.clip) * w.told).square().sum())
    partial = Hypothesis()
    result: dict[str, float] = {}
    for name in wrong_parts(hypothesis):
        partial = replace(partial, **{name: getattr(hypothesis, name)}, limit=hypothesis.limit)
        rest = float(((recovered - predict(w, partial)[0]) * w.told).square().sum())
        result[name] = max(0.0, 1.0 - rest / base) if base else 0.0
    return result


def wrong_parts(hypothesis: Hypothesis) -> Sequence[str]:
    """Names of the fields that differ from the right hypothesis, in the order in which a trainer applies them."""
    right = Hypothesis()
    return [
        n
        for n in ("mask", "dropped", "objective", "level", "pieces", "scale", "clip")
        if getattr(hypothesis, n) != getattr(right, n)
    ]

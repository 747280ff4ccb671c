"""What a framework may train in the place of what it should: another model, another loss of a token, or a part of it.

Each is a step that would be right otherwise. The tokens explain a gradient by it that they do not explain by the right
one, and their weights are told by it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.contract import Lora, Model
from harness.intent.intent import TokenLoss
from harness.oracle import forward, full_basis, head_rows, other_losses
from harness.oracle.basis import Segment, segment
from harness.oracle.basis_cache import Bases
from harness.oracle.floor import State
from harness.oracle.forward import Parameters
from harness.oracle.observe import Moments, Observed, observe
from harness.oracle.step import RightStep, as_computed, right_step


@dataclass(frozen=True)
class OtherModel:
    """A step by which the batch's tokens explain a gradient that they do not explain by the right one."""

    cause: str
    what: str
    """By that cause: what has no soft cap, what low-rank updates are multiplied by, how labels are smoothed, what a
    label is of, which tensors are not trained, or which rows of the head take no part."""
    right: RightStep
    """What the step should have done if that were right."""
    observed: Observed
    """The gradient that the optimizer consumed, and the weights that explain it then."""


STALE = "stale-parameters", "the step before"

LACKING: Mapping[str, Callable[[Model], Model]] = {
    "scores": lambda model: replace(model, attention_softcap=None),
    "logits": lambda model: replace(model, final_softcap=None),
    "scores and logits": lambda model: replace(model, attention_softcap=None, final_softcap=None),
}
"""A model without the soft cap that the name says, which is the model itself where it has none."""

SCALED: Mapping[str, Callable[[Lora], Lora]] = {
    "the scale twice": lambda lora: replace(lora, alpha=lora.alpha * lora.scale),
    "alpha / rank": lambda lora: replace(lora, rslora=False),
    "alpha / sqrt(rank)": lambda lora: replace(lora, rslora=True),
    "1": lambda lora: replace(lora, alpha=lora.alpha / lora.scale),
    "alpha": lambda lora: replace(lora, alpha=lora.alpha * lora.alpha / lora.scale),
}
"""Low-rank updates that are multiplied by something else than their scale."""


def explaining(
    right: RightStep,
    moments: Moments,
    beta1: float,
    before: State,
    allowed: float,
    bases: Bases,
    earlier: Parameters | None = None,
) -> OtherModel | None:
    """The first other step by which the tokens leave no more than `allowed` of what a step consumed.

    earlier: the parameters before the step before.
    """
    seen = as_computed(before.parameters, right.intent.precision)
    segments = [segment(c) for c in right.conversations]

    def build(model: Model, kind: TokenLoss) -> RightStep:
        basis = bases.build(seen, model, segments, kind)
        terms = replace(right.terms, basis=basis)
        return replace(right, model=model, basis=basis, terms=terms)

    losses = other_losses.candidates(right, moments, beta1, build)
    shorter = head_rows.out_of_softmax(right, seen, segments)
    for cause, what, other in itertools.chain(_models(right, build), shorter, losses, _at(earlier, right, bases)):
        observed = observe(other.terms, moments, beta1)
        if observed.residual <= allowed:
            return OtherModel(cause, what, other, observed)
    unshifted = _unshifted(right, seen, segments)
    observed = observe(unshifted.terms, moments, beta1)
    if observed.residual <= allowed:
        return OtherModel("labels-unshifted", "that token again", unshifted, observed)
    sizes = {name: before.first[name].numel() for name in sorted(before.first)}
    if (fewer := head_rows.untrained(right, seen, segments, moments.first, sizes)) is not None:
        what, other, kept = fewer
        observed = observe(other.terms, _cut(moments, kept), beta1)
        if observed.residual <= allowed:
            return OtherModel(head_rows.CAUSE, what, other, observed)
    return _untrained(right, moments, beta1, before, allowed, build)


def _unshifted(right: RightStep, seen: Parameters, segments: Sequence[Segment]) -> RightStep:
    """The step whose labels are those of the tokens themselves, not of the ones behind them."""
    basis = full_basis.build(seen, right.model, segments, right.intent.token_loss, forward.unshifted_losses)
    return replace(right, basis=basis, terms=replace(right.terms, basis=basis))


Build = Callable[[Model, TokenLoss], RightStep]


def _models(right: RightStep, build: Build) -> Iterator[tuple[str, str, RightStep]]:
    for what, lacking in LACKING.items():
        if (model := lacking(right.model)) != right.model:
            yield "soft-cap", what, build(model, right.intent.token_loss)
    if (lora := right.model.lora) is not None:
        scales = {lora.scale}
        for what, scaled in SCALED.items():
            if (other := scaled(lora)).scale not in scales:
                scales.add(other.scale)
                yield "lora-scale", what, build(replace(right.model, lora=other), right.intent.token_loss)


def _at(earlier: Parameters | None, right: RightStep, bases: Bases) -> Iterator[tuple[str, str, RightStep]]:
    """The same step from earlier parameters."""
    if earlier is not None:
        stale = right_step(
            right.intent, right.model, right.number, right.conversations, earlier, bases, None, right.skipped
        )
        yield (*STALE, stale)


def stale(right: RightStep, moments: Moments, beta1: float, allowed: float) -> OtherModel | None:
    """What a step that is right from the parameters before the step before explains, if it leaves so little."""
    observed = observe(right.terms, moments, beta1)
    return OtherModel(*STALE, right, observed) if observed.residual <= allowed else None


def _untrained(
    right: RightStep, moments: Moments, beta1: float, before: State, allowed: float, build: Build
) -> OtherModel | None:
    """By the tensors that have any moment, if some have none: as if the others were not to be trained."""
    names = sorted(before.first)
    sizes = [before.first[name].numel() for name in names]
    each = torch.split(moments.first, sizes)
    still = [name for name, part in zip(names, each, strict=True) if not bool(part.any())]
    if not still or len(still) == len(names):
        return None
    model = replace(right.model, frozen=(*right.model.frozen, *still))
    kept = torch.cat([torch.full((size,), name not in still) for name, size in zip(names, sizes, strict=True)])
    if right.terms.names:
        return None  # their gradients are those of all tensors
    other = build(model, right.intent.token_loss)
    observed = observe(other.terms, _cut(moments, kept), beta1)
    return OtherModel("untrained-part", ", ".join(still), other, observed) if observed.residual <= allowed else None


def _cut(moments: Moments, kept: Tensor) -> Moments:
    """The moments [parameters] where `kept`, bool [parameters], holds."""
    parts = (m[kept] for m in (moments.first_before, moments.first, moments.second_before, moments.second))
    decay = moments.decay[kept] if isinstance(moments.decay, Tensor) else moments.decay
    return Moments(*parts, summed=moments.summed, decay=decay)


def tensors(other: OtherModel) -> Sequence[str]:
    """The names of the tensors that are not trained, of such a cause."""
    return other.what.split(", ") if other.cause == "untrained-part" else ()

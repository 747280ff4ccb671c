"""Objectives as trainers get them wrong: the weights of a step's tokens by each, before scale and clipping.

Each is the intended objective with one thing changed: its numbers, or the log-probabilities that it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from harness.intent.objective import Advantage, Divergence, Form, Policy, Preferences
from harness.oracle.aggregation import Places, rows_of
from harness.oracle.objectives import LogProbs, advantages, alike, demonstrations, weights
from harness.oracle.step import RightStep

Weights = Callable[[Places, Tensor], Tensor]
"""Of slots, and which of them are trained, to float64 [slots]."""

OTHER_FORM: Mapping[Form, Form] = {
    "sigmoid": "sigmoid-mean",
    "sigmoid-mean": "sigmoid",
    "ipo": "ipo-mean",
    "ipo-mean": "ipo",
}
SIGMOID: Mapping[Form, Form] = {"ipo": "sigmoid", "ipo-mean": "sigmoid-mean"}
OTHER_SCALE: Mapping[Advantage, Advantage] = {"group": "group-std", "group-std": "group"}
DIVERGENCES: tuple[Divergence, ...] = get_args(Divergence)
EPS = {"1e-4": 1e-4, "1e-6": 1e-6, "1e-8": 1e-8}
"""What is added to a standard deviation that is divided by."""


def of_step(right: RightStep) -> Mapping[str, Weights]:
    """By name; none where losses are not aggregated by an objective."""
    wanted = right.intent.aggregation
    if isinstance(wanted, Preferences):
        found = {n: _as(other) for n, other in _preferences(wanted).items()}
        if wanted.reference:
            found["reference-drifts"] = _as(wanted, lambda logps: replace(logps, reference=logps.now))
        return {"pairs-swapped": _swapped(wanted), **found}
    return _policy(wanted) if isinstance(wanted, Policy) else {}


def _as(objective: Preferences | Policy, change: Callable[[LogProbs], LogProbs] = lambda logps: logps) -> Weights:
    def made(places: Places, trained: Tensor) -> Tensor:
        assert places.logps is not None
        return weights(objective, change(places.logps), rows_of(places, trained, objective))

    return made


def _preferences(wanted: Preferences) -> dict[str, Preferences]:
    found = {"mean-log-ratios": replace(wanted, form=OTHER_FORM[wanted.form])}
    if wanted.form in SIGMOID:
        found["sigmoid-for-square"] = replace(wanted, form=SIGMOID[wanted.form])
    if wanted.reference:
        found["reference-left-out"] = replace(wanted, reference=False)
    if wanted.smoothing:
        found["preferences-unsmoothed"] = replace(wanted, smoothing=0.0)
    if wanted.sft_coefficient:
        found["sft-left-out"] = replace(wanted, sft_coefficient=0.0)
    return found


def _swapped(wanted: Preferences) -> Weights:
    """The rejected row in the place of the chosen one, but for what trains the chosen one by itself."""
    alone = replace(wanted, sft_coefficient=0.0)

    def made(places: Places, trained: Tensor) -> Tensor:
        beside = _as(wanted)(places, trained) - _as(alone)(places, trained)
        return beside - _as(alone, _turned)(places, trained)

    return made


def _turned(logps: LogProbs) -> LogProbs:
    return LogProbs(-logps.now, -logps.sampled, -logps.reference)


def _policy(wanted: Policy) -> dict[str, Weights]:
    found: dict[str, Weights] = {name: _as(_given(wanted, made)) for name, made in _advantages(wanted).items()}
    found |= {name: _as(other) for name, other in _numbers(wanted).items()}
    found["ratio-of-one"] = _as(wanted, lambda logps: replace(logps, sampled=logps.now))
    found["clip-the-other-side"] = _clipped_above(wanted)
    found["other-ratio"] = _other_ratio(wanted)
    if wanted.refers and wanted.every > 1:  # else it is the model itself, from which nothing diverges
        found["reference-drifts"] = _as(wanted, lambda logps: replace(logps, reference=logps.sampled))
    if wanted.refers:
        found["divergence-twice"] = _as(replace(wanted, beta=2 * wanted.beta))
        found["divergence-left-out"] = _as(replace(wanted, beta=0.0))
        found["divergence-subtracted"] = _subtracted(wanted)
    if wanted.demonstrations:
        found["demonstrations-as-samples"] = _as_samples(wanted)
    if wanted.sft_coefficient:
        found["sft-left-out"] = _as(replace(wanted, sft_coefficient=0.0))
    if wanted.masked:
        found["truncated-counted"] = _counted(wanted)
        found["truncated-trained"] = _as(replace(wanted, masked=()))
    return found


def _given(wanted: Policy, made: Tensor) -> Policy:
    return replace(wanted, advantage="given", rewards=tuple(made.tolist()))


def _advantages(wanted: Policy) -> dict[str, Tensor]:
    """Other ones than those that are intended, float64 [rows]; over the deviation where these are."""
    rewards = torch.tensor(wanted.rewards, dtype=torch.float64)
    groups, each, own = rewards.view(-1, wanted.group_size), wanted.group_size, advantages(wanted)
    scaled = wanted.advantage == "group-std"
    found: dict[str, Tensor] = {}
    if wanted.advantage != "given":
        found = {
            "raw-rewards": _over(groups, groups, scaled),
            "batch-baseline": _over(groups - rewards.mean(), groups, scaled),
            "other-group": _over(groups - groups.roll(1, 0).mean(1, keepdim=True), groups.roll(1, 0), scaled),
            "rows-of-another-group": own.view_as(groups).roll(1, 0),
            "leave-one-out": own * (each / max(each - 1, 1)),
        }
    if scaled:
        spread = groups.std(1, keepdim=True)
        found["population-deviation"] = own * (each / max(each - 1, 1)) ** 0.5
        found |= {f"deviation-plus-{n}": own.view_as(groups) * spread / (spread + eps) for n, eps in EPS.items()}
    if wanted.advantage == "given" and each > 1:
        found["baseline-taken-off"] = advantages(replace(wanted, advantage="group"))
    elif each > 1:
        found["other-scale"] = advantages(replace(wanted, advantage=OTHER_SCALE[wanted.advantage]))
    if wanted.advantage == "group" and each > 1:
        spread = groups.std(1, keepdim=True)
        found |= {f"other-scale-plus-{n}": own.view_as(groups) / (spread + eps) for n, eps in EPS.items()}
    return {name: made.flatten() for name, made in found.items()}


def _over(values: Tensor, groups: Tensor, scaled: bool) -> Tensor:
    """Values of groups over the deviations of these or others, all [groups, rows]; 0 where there is none."""
    if not scaled:
        return values
    same = alike(groups)
    return torch.where(same, 0.0, values / groups.std(1, keepdim=True).masked_fill(same, 1.0))


def _numbers(wanted: Policy) -> dict[str, Policy]:
    found = {"unclipped": replace(wanted, clip_low=None, clip_high=None)}
    if wanted.clip_low is not None and wanted.clip_high != wanted.clip_low:
        found["clipped-alike"] = replace(wanted, clip_high=wanted.clip_low)
    if wanted.refers:
        kinds = [kind for kind in DIVERGENCES if kind != wanted.divergence]
        found |= {f"divergence-{kind}": replace(wanted, divergence=kind) for kind in kinds}
    return found


def _clipped_above(wanted: Policy) -> Weights:
    """The larger of both instead of the smaller: as if rewards were losses, and back."""
    gains = replace(wanted, beta=0.0, sft_coefficient=0.0)
    turned = _given(gains, -advantages(wanted))

    def made(places: Places, trained: Tensor) -> Tensor:
        beside = _as(wanted)(places, trained) - _as(gains)(places, trained)
        return beside - _as(turned)(places, trained)

    return made


def _other_ratio(wanted: Policy) -> Weights:
    """Of the rows that were sampled; a demonstration has none."""
    alone = replace(wanted, demonstrations=0, sft_coefficient=0.0)
    sampled = replace(alone, ratio="token" if wanted.ratio == "sequence" else "sequence")

    def made(places: Places, trained: Tensor) -> Tensor:
        shown = demonstrations(wanted, places.rows)[places.conversation]
        return torch.where(shown, _as(wanted)(places, trained), _as(sampled)(places, trained))

    return made


def _subtracted(wanted: Policy) -> Weights:
    def made(places: Places, trained: Tensor) -> Tensor:
        return 2 * _as(replace(wanted, beta=0.0))(places, trained) - _as(wanted)(places, trained)

    return made


def _as_samples(wanted: Policy) -> Weights:
    """The same gain for all rows, and what is added left as it is."""
    alone = replace(wanted, sft_coefficient=0.0)

    def made(places: Places, trained: Tensor) -> Tensor:
        beside = _as(wanted)(places, trained) - _as(alone)(places, trained)
        return beside + _as(replace(alone, demonstrations=0))(places, trained)

    return made


def _counted(wanted: Policy) -> Weights:
    """What is masked counts where tokens are counted."""

    def made(places: Places, trained: Tensor) -> Tensor:
        plain = replace(wanted, masked=(), beta=0.0, demonstrations=0, sft_coefficient=0.0)
        every = _given(plain, torch.ones(len(wanted.rewards), dtype=torch.float64))
        kept = replace(every, masked=wanted.masked)
        # Shares alone: a ratio of one, and an advantage of one.
        assert places.logps is not None
        at_one = replace(places, logps=replace(places.logps, sampled=places.logps.now))
        some, all_of_them = _as(kept)(at_one, trained), _as(every)(at_one, trained)
        gains = _as(replace(wanted, sft_coefficient=0.0))(places, trained)
        beside = _as(wanted)(places, trained) - gains
        return beside + gains * torch.where(some > 0, all_of_them / some.clamp_min(1e-300), 1.0)

    return made

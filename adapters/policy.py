"""Objectives beyond supervised training in the reference: preferences, and rewards of sampled completions.

Written from the formulas that `adapters.contract.Objective` cites. Right, or wrong as planned (`Plan.objective`).
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters import token_loss
from adapters.contract import IGNORED_LABEL, Objective, Scenario
from adapters.families.loss_scaling import autocast
from adapters.inside import data
from adapters.plan import Plan


class Others:
    """The models beside the one that is trained: what it is held to, and what had sampled the completions."""

    def __init__(self, model: torch.nn.Module, scenario: Scenario, how: Plan) -> None:
        self._wanted = scenario.objective
        self._drifts = how.objective == "reference-drifts"
        self.reference = copy.deepcopy(model) if self._wanted.refers else None
        self.sampler = copy.deepcopy(model) if self._wanted.method == "grpo" else None

    def before(self, step: int, model: torch.nn.Module) -> None:
        """Sample anew, where an optimizer step begins with that."""
        anew = step % self._wanted.rollout_steps == 0
        if self.sampler is not None and anew:
            self.sampler.load_state_dict(model.state_dict())
        if self.reference is not None and self._drifts and anew:
            self.reference.load_state_dict(model.state_dict())


@dataclass(frozen=True)
class Batch:
    """A micro-batch. The tensors are float64 [batch, length - 1], of the targets."""

    logps: Tensor
    """Of the model that is trained."""
    reference: Tensor
    """0 where it is held to nothing."""
    sampled: Tensor
    """As they were sampled with; those of the model itself where nothing was."""
    mask: Tensor
    """1 for targets that are trained."""
    rows: tuple[int, ...]
    """Of the scenario, one for each sequence."""


def advantages(wanted: Objective, how: Plan) -> list[float]:
    """Of every row of the scenario."""
    rewards, each = wanted.rewards, wanted.group_size
    groups = [rewards[at : at + each] for at in range(0, len(rewards), each)]
    if how.objective == "other-group":
        groups = [groups[at - 1] for at in range(len(groups))]
    given = wanted.advantage == "given"
    centre = not given and how.objective != "raw-rewards"
    scaled = not given and (wanted.advantage == "group-std") != (how.objective == "other-scale")
    whole = statistics.fmean(rewards)
    made = []
    for at, group in enumerate(groups):
        own = rewards[at * each : (at + 1) * each]
        mean = whole if how.objective == "batch-baseline" else statistics.fmean(group)
        spread = statistics.stdev(group) if scaled and each > 1 else 1.0
        made += [(reward - mean * centre) / spread if spread else 0.0 for reward in own]
    return made


def loss(batch: Batch, scenario: Scenario, shares: Tensor, step: int, how: Plan) -> Tensor:
    """A micro-batch's part of the loss of a step. shares: float64 [batch, length - 1], what the loss of each target is
    multiplied by."""
    wanted = scenario.objective
    if wanted.method == "dpo":
        return _preferences(batch, wanted, how).sum() / (len(scenario.step_rows(step)) // 2)
    made = (_policy(batch, wanted, how) * shares).sum()
    if not wanted.sft_coefficient or how.objective == "sft-left-out":
        return made
    places = [(m, r) for m in range(scenario.micro_batches(step)) for r in range(scenario.window.ranks)]
    shown = sum(float(_shown(rows_of(scenario, step, *place), wanted).sum()) for place in places)
    means = -(batch.logps * batch.mask).sum(1) / batch.mask.sum(1).clamp_min(1)
    return made + wanted.sft_coefficient * (means * _shown(batch.rows, wanted)[:, 0]).sum() / max(shown, 1.0)


def _shown(rows: tuple[int, ...], wanted: Objective) -> Tensor:
    """1 for demonstrations, 0 for completions that were sampled: [rows, 1]."""
    return torch.tensor([[float(row % wanted.group_size < wanted.demonstrations)] for row in rows])


def of_step(
    losses: Tensor,
    others: Others,
    batch: Mapping[str, Tensor],
    targets: Tensor,
    rows: tuple[int, ...],
    scenario: Scenario,
    shares: Tensor,
    step: int,
    how: Plan,
) -> Tensor:
    """A micro-batch's part of the loss of a step, from the losses of its targets, [batch, length - 1]."""

    def logps(model: torch.nn.Module | None) -> Tensor | None:
        if model is None:
            return None
        with torch.no_grad(), autocast(scenario):
            made = model(**batch, output_hidden_states=token_loss.fused(scenario.loss))
        return -token_loss.of_output(made, model, targets, scenario, how).own.double()

    own = -losses.double()
    held, sampled = logps(others.reference), logps(others.sampler)
    seen = Batch(
        own,
        torch.zeros_like(own) if held is None else held,
        own.detach() if sampled is None else sampled,
        (targets != IGNORED_LABEL).double(),
        rows,
    )
    return loss(seen, scenario, shares, step, how)


def _preferences(batch: Batch, wanted: Objective, how: Plan) -> Tensor:
    """Of each pair: [pairs]."""
    ratios = (batch.logps - batch.reference * (how.objective != "reference-left-out")) * batch.mask
    counts = batch.mask.sum(1).clamp_min(1)
    means = wanted.preference.endswith("-mean") != (how.objective == "mean-log-ratios")
    each = ratios.sum(1) / (counts if means else 1)
    difference = each[0::2] - each[1::2]
    if how.objective == "pairs-swapped":
        difference = -difference
    if wanted.preference.startswith("sigmoid") or how.objective == "sigmoid-for-square":
        share = 0.0 if how.objective == "preferences-unsmoothed" else wanted.preference_smoothing
        right, wrong = F.logsigmoid(wanted.beta * difference), F.logsigmoid(-wanted.beta * difference)
        made = -(1 - share) * right - share * wrong
    else:
        made = (difference - 1 / (2 * wanted.beta)).square()
    chosen = -(batch.logps * batch.mask).sum(1)[0::2] / counts[0::2]
    return made + wanted.sft_coefficient * chosen * (how.objective != "sft-left-out")


def _policy(batch: Batch, wanted: Objective, how: Plan) -> Tensor:
    """Of each target, before it is averaged: [batch, length - 1]."""
    each = advantages(wanted, how)
    advantage = torch.tensor([[each[row]] for row in batch.rows], dtype=batch.logps.dtype)
    ratio = _ratio(batch, wanted, how)
    high, low = 1 + wanted.clip_high, 1 - wanted.clip_low
    clipped = ratio.clamp(low, high)
    if how.objective == "clip-the-other-side":
        made = torch.maximum(ratio * advantage, clipped * advantage)
    else:
        made = torch.minimum(ratio * advantage, (ratio if how.objective == "unclipped" else clipped) * advantage)
    if wanted.demonstrations and how.objective != "demonstrations-as-samples":
        likely = batch.logps.exp()
        gained = likely / (likely + wanted.shaping) * advantage
        made = torch.where(_shown(batch.rows, wanted) > 0, gained, made)
    times = {"divergence-twice": 2.0, "divergence-left-out": 0.0, "divergence-subtracted": -1.0}.get(how.objective, 1.0)
    return -made + times * wanted.beta * _divergence(batch, wanted)


def _ratio(batch: Batch, wanted: Objective, how: Plan) -> Tensor:
    sampled = batch.logps.detach() if how.objective == "ratio-of-one" else batch.sampled
    logs = batch.logps - sampled
    if (wanted.ratio == "sequence") != (how.objective == "other-ratio"):
        logs = ((logs * batch.mask).sum(1) / batch.mask.sum(1).clamp_min(1))[:, None].expand_as(logs)
    return logs.exp()


def _divergence(batch: Batch, wanted: Objective) -> Tensor:
    """From the reference, as it is estimated for each target."""
    if not wanted.refers:
        return torch.zeros_like(batch.logps)
    logs = batch.reference - batch.logps
    return {"k1": -logs, "k2": logs.square() / 2, "k3": logs.exp() - logs - 1}[wanted.divergence]


def rows_of(scenario: Scenario, step: int, number: int, rank: int) -> tuple[int, ...]:
    """The row of each sequence of a micro-batch."""
    return tuple(sequence[0] for sequence in data.dealt(scenario, step, number, rank))

"""The loss of a step whose objective is no mean of its tokens' losses, in float64, and the weight of every token by it.

The loss is a function of the log-probabilities of the step's tokens, so that its derivative by each of them is the
weight: w = -dL/d(log p). It is written once, as the published formulas have it (`harness.intent.objective`), and
differentiated by torch, through ratio and clip; the tests hold that against finite differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.intent.intent import Aggregation
from harness.intent.objective import OBJECTIVES, Policy, Preferences


@dataclass(frozen=True)
class LogProbs:
    """Of the tokens of a step: float64 [slots] each."""

    now: Tensor
    """By the parameters before the step."""
    sampled: Tensor
    """By those that had sampled the rows."""
    reference: Tensor
    """By those that training began with."""


@dataclass(frozen=True)
class Rows:
    """Which tokens are whose."""

    owner: Tensor
    """int64 [slots]: the conversation of the step that each token is of."""
    number: tuple[int | None, ...]
    """Row of the scenario of each conversation; None for tokens that are none. They have no reward, and no partner."""
    trained: Tensor
    """bool [slots]."""
    part: Tensor
    """int64 [slots]: what each token is averaged in."""
    parts: int
    """How many of these there are."""


def asked(aggregation: Aggregation) -> bool:
    """Whether losses are aggregated by an objective."""
    return isinstance(aggregation, OBJECTIVES)


def loss(objective: Preferences | Policy, logps: LogProbs, rows: Rows) -> Tensor:
    """The loss of a step, a number; differentiable by `logps.now`."""
    if isinstance(objective, Preferences):
        return _preferences(objective, logps, rows)
    return _policy(objective, logps, rows)


def weights(objective: Preferences | Policy, logps: LogProbs, rows: Rows) -> Tensor:
    """The weight of each token, before scale and clipping: float64 [slots]."""
    now = logps.now.detach().clone().requires_grad_()
    made = loss(objective, LogProbs(now, logps.sampled.detach(), logps.reference.detach()), rows)
    (slope,) = torch.autograd.grad(made, now)
    return -slope


def advantages(policy: Policy) -> Tensor:
    """Of every row of the scenario: float64 [rows]."""
    groups = torch.tensor(policy.rewards, dtype=torch.float64).view(-1, policy.group_size)
    if policy.advantage == "given":
        return groups.flatten()
    same = alike(groups)
    centred = torch.where(same, 0.0, groups - groups.mean(1, keepdim=True))  # no rounding of the mean
    if policy.advantage == "group":
        return centred.flatten()
    return (centred / groups.std(1, keepdim=True).masked_fill(same, 1.0)).flatten()


def alike(groups: Tensor) -> Tensor:
    """Which groups [groups, rows] have one value throughout: bool [groups, 1]. Their deviation may be of rounding."""
    return (groups == groups[:, :1]).all(1, keepdim=True)


def demonstrations(policy: Policy, numbers: Sequence[int | None]) -> Tensor:
    """Which of these rows of the scenario are demonstrations: bool [rows]."""
    return torch.tensor([row is not None and row % policy.group_size < policy.demonstrations for row in numbers])


def _pairs(rows: Rows) -> list[tuple[int, int]]:
    """Conversations, the chosen one first: one pair for each time that it is in the step."""
    places: dict[int, list[int]] = {}
    for c, row in enumerate(rows.number):
        if row is not None:
            places.setdefault(row, []).append(c)
    chosen = [(row, own) for row, own in places.items() if row % 2 == 0]
    return [pair for row, own in chosen for pair in zip(own, places.get(row + 1, ()), strict=False)]


def _summed(values: Tensor, rows: Rows) -> Tensor:
    """By conversation: [conversations]."""
    return torch.zeros(len(rows.number), dtype=values.dtype).index_add(0, rows.owner, values)


def _preferences(objective: Preferences, logps: LogProbs, rows: Rows) -> Tensor:
    reference = logps.reference if objective.reference else torch.zeros_like(logps.reference)
    ratios = torch.where(rows.trained, logps.now - reference, 0.0)
    counts = _summed(rows.trained.to(ratios.dtype), rows).clamp_min(1.0)
    each = _summed(ratios, rows) / (counts if objective.form.endswith("-mean") else 1.0)
    pairs = _pairs(rows)
    if not pairs:
        return logps.now.sum() * 0.0
    chosen, rejected = (torch.tensor(side) for side in zip(*pairs, strict=True))
    difference = each[chosen] - each[rejected]
    if objective.form.startswith("sigmoid"):
        right, wrong = (F.logsigmoid(sign * objective.beta * difference) for sign in (1.0, -1.0))
        made = -(1.0 - objective.smoothing) * right - objective.smoothing * wrong
    else:
        made = (difference - 1.0 / (2.0 * objective.beta)).square()
    nll = -_summed(torch.where(rows.trained, logps.now, 0.0), rows) / counts
    return (made + objective.sft_coefficient * nll[chosen]).mean()


def _policy(policy: Policy, logps: LogProbs, rows: Rows) -> Tensor:
    known = advantages(policy).to(logps.now.dtype)
    by_row = torch.stack([logps.now.new_zeros(()) if row is None else known[row] for row in rows.number])
    masked = torch.tensor([row in policy.masked for row in rows.number])
    trained = rows.trained & ~masked[rows.owner]
    advantage, ratio = by_row[rows.owner], _ratio(policy, logps, rows, trained)
    low = 0.0 if policy.clip_low is None else 1.0 - policy.clip_low
    high = float("inf") if policy.clip_high is None else 1.0 + policy.clip_high
    gained = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    shown = demonstrations(policy, rows.number)
    likely = logps.now.exp()
    gained = torch.where(shown[rows.owner], likely / (likely + policy.shaping) * advantage, gained)
    lost = torch.where(trained, policy.beta * _divergence(policy, logps) - gained, 0.0)
    made = (lost * _shares(policy, rows, trained)).sum()
    if not policy.sft_coefficient or not bool(shown.any()):
        return made
    counts = _summed(trained.to(lost.dtype), rows).clamp_min(1.0)
    means = -_summed(torch.where(trained, logps.now, 0.0), rows) / counts
    return made + policy.sft_coefficient * means[shown].mean()


def _ratio(policy: Policy, logps: LogProbs, rows: Rows, trained: Tensor) -> Tensor:
    logs = logps.now - logps.sampled
    if policy.ratio == "sequence":
        counts = _summed(trained.to(logs.dtype), rows).clamp_min(1.0)
        logs = (_summed(torch.where(trained, logs, 0.0), rows) / counts)[rows.owner]
    return logs.exp()


def _divergence(policy: Policy, logps: LogProbs) -> Tensor:
    if not policy.refers:
        return torch.zeros_like(logps.now)
    logs = logps.reference - logps.now
    return {"k1": -logs, "k2": logs.square() / 2.0, "k3": logs.exp() - logs - 1.0}[policy.divergence]


def _shares(policy: Policy, rows: Rows, trained: Tensor) -> Tensor:
    one = trained.to(torch.float64)
    if policy.constant is not None:
        return one / (len(rows.number) * policy.constant)
    counts = torch.zeros(int(rows.part.max()) + 1, dtype=torch.float64).index_add(0, rows.part, one)
    return one / (counts[rows.part].clamp_min(1.0) * rows.parts)

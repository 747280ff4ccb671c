"""The update rule that every parameter group really followed, beside what it was configured to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.intent.intent import Group, Rule
from harness.oracle.update import TensorState, estimate
from harness.recordings.reader import OfRank, Recording

BETAS = (0.9, 0.999)
EPS = 1e-8
NEAR = 0.02
"""Relative distance up to which an effective number is the configured one: entries of a few dozen are rounded."""


@dataclass(frozen=True)
class GroupRule:
    """One parameter group in one step."""

    step: int
    group: int | None
    """None: it is not known which group its parameters are in, as with an engine that flattens them."""
    parameters: int
    configured_rate: float | None
    rate: float | None
    """Learning rate that its parameters moved by; None if none of their samples tells."""
    configured_decay: float | None
    decay: float | None

    @property
    def off(self) -> bool:
        """Whether the rate is not the configured one."""
        told, found = self.configured_rate, self.rate
        return told is not None and found is not None and abs(found - told) > NEAR * max(told, found)


def groups(recording: Recording, number: int) -> list[GroupRule]:
    """Every group of a step, in order."""
    parts = recording.steps[number]
    first = parts[0].line
    found: dict[int | None, list[tuple[float, float]]] = {}
    for name, state in _states(recording, parts):
        group = next((p.group for p in recording.header.parameters if p.name == name), None)
        group = group if group is not None and group < len(first.groups) else None
        rule = _rule(first.groups[group or 0] if first.groups else {})
        moved = bool(state.after.ne(state.before).any())
        if moved and not bool(state.second.any()):
            continue  # by a rule that keeps no second moment
        found.setdefault(group, [])
        if moved:
            update = estimate(name, state, rule, (number if first.count is None else first.count) + 1)
            found[group].append((update.learning_rate, update.weight_decay))
    return [
        _told(number, i, configured, recording, found.get(i))
        for i, configured in ((None, _shared(first.groups)), *enumerate(first.groups))
        if any(p.group == i for p in recording.header.parameters)
    ]


def _shared(groups: Sequence[dict[str, object]]) -> dict[str, object]:
    """What all groups are configured to alike."""
    first = groups[0] if groups else {}
    return {k: v for k, v in first.items() if all(group.get(k) == v for group in groups)}


def _told(
    step: int,
    index: int | None,
    configured: dict[str, object],
    recording: Recording,
    found: Sequence[tuple[float, float]] | None,
) -> GroupRule:
    """found: rates and decays of the samples that moved; None if there are no samples that tell."""
    mine = [p for p in recording.header.parameters if p.group == index]
    rates, decays = [rate for rate, _ in found or ()], [decay for _, decay in found or ()]
    return GroupRule(
        step=step,
        group=index,
        parameters=len(mine),
        configured_rate=_number(configured.get("lr")),
        rate=statistics.median(rates) if rates else (0.0 if mine and found is not None else None),
        configured_decay=_number(configured.get("weight_decay")),
        decay=statistics.median(decays) if decays else None,
    )


def _rule(configured: dict[str, object]) -> Rule:
    told = configured.get("betas")
    pair = told if isinstance(told, list) and len(told) == 2 else BETAS
    betas = [float(beta) if 0.0 <= float(beta) < 1.0 else usual for beta, usual in zip(pair, BETAS, strict=True)]
    eps = _number(configured.get("eps"))
    return Rule((Group(("*",)),), beta1=betas[0], beta2=betas[1], eps=EPS if eps is None or not 0 <= eps < 1 else eps)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _states(recording: Recording, parts: Sequence[OfRank]) -> list[tuple[str, TensorState]]:
    """The samples of every parameter around the step, all ranks' joined where each keeps a part."""
    chosen = parts[:1] if parts[0].line.layout == "whole" else parts
    names = [p.name for p in recording.header.parameters]
    joined: dict[str, list[TensorState]] = {name: [] for name in names}
    for part in chosen:
        wanted = [part.tensors.get(f"{when}/sample/{kind}") for when, kind in _SAMPLES]
        counts = part.tensors.get("after/sample/count")
        values = [value for value in wanted if value is not None]
        if counts is None or len(values) < len(wanted) or len(counts) != len(names):
            continue
        sizes = counts.tolist()
        if any(sum(sizes) != len(value) for value in values):
            continue
        cut = [torch.split(value.double(), sizes) for value in values]
        for name, before, after, m, v in zip(names, *cut, strict=True):
            joined[name].append(TensorState(before, after, m, v))
    return [(name, _one(states)) for name, states in joined.items() if states and len(_one(states).before)]


_SAMPLES = (("before", "param"), ("after", "param"), ("after", "exp_avg"), ("after", "exp_avg_sq"))


def _one(states: Sequence[TensorState]) -> TensorState:
    def together(name: str) -> Tensor:
        return torch.cat([getattr(state, name) for state in states])

    return TensorState(together("before"), together("after"), together("first"), together("second"))

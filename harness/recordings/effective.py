"""The update rule that every parameter group really followed, beside what it was configured to."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from harness.intent.intent import Group, Rule
from harness.oracle.update import TensorState, TensorUpdate, direction, recover
from harness.recordings.reader import OfRank, Recording

BETAS = (0.9, 0.999)
EPS = 1e-8
NEAR = 0.02
"""Relative distance up to which an effective number is the configured one: entries of a few dozen are rounded."""

DECAY = 1e-3
"""What rounding makes of an effective decay, absolute."""
FEWEST = 8
"""Entries that must have moved for a tensor to tell its rate."""
ALIKE = 0.999
"""Cosine of Adam's direction and the parameters from which on decay looks like the rest of the update."""


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
    owner = owners(recording, parts)
    sizes = Counter(owner.values())
    found: dict[int | None, list[TensorUpdate]] = {}
    for name, update in updates(recording, number).items():
        found.setdefault(owner[name], []).append(update)
    moves: dict[int | None, bool] = {}
    for name, state in states(recording, parts):
        moves[owner[name]] = moves.get(owner[name], False) or bool(state.after.ne(state.before).any())
    return [
        _told(number, i, configured, sizes[i], found.get(i, []), moves.get(i))
        for i, configured in ((None, _shared(first.groups)), *enumerate(first.groups))
        if sizes[i]
    ]


def owners(recording: Recording, parts: Sequence[OfRank]) -> dict[str, int | None]:
    """The group of each parameter, where that is known."""
    count = len(parts[0].line.groups)
    told = {p.name: p.group for p in recording.header.parameters}
    return {name: group if group is not None and group < count else None for name, group in told.items()}


def updates(recording: Recording, number: int) -> dict[str, TensorUpdate]:
    """How each tensor's samples were updated by Adam in a step: of those that moved, and none of what is kept coarse.

    A tensor of zeros does not tell its decay: its `decay_bound` is inf.
    """
    parts = recording.steps[number]
    if is_coarse(recording, parts):
        return {}
    groups, owner = parts[0].line.groups, owners(recording, parts)
    found = {}
    for name, state in states(recording, parts):
        if bool(state.after.ne(state.before).any()) and bool(state.second.any()):
            rule = _rule(groups[owner[name] or 0] if groups else {})
            update = recover(name, state, rule, count(parts, number))
            found[name] = update if bool(state.before.any()) else replace(update, decay_bound=inf)
    return found


def _shared(groups: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    """What all groups are configured to alike."""
    first = groups[0] if groups else {}
    return {k: v for k, v in first.items() if all(group.get(k) == v for group in groups)}


def _told(
    step: int,
    index: int | None,
    configured: Mapping[str, object],
    parameters: int,
    found: Sequence[TensorUpdate],
    moved: bool | None,
) -> GroupRule:
    """found: of the samples that moved by Adam. moved: whether any did; None without samples."""
    rates, decays = [u.learning_rate for u in found], [u for u in found if u.decay_bound < inf]
    return GroupRule(
        step=step,
        group=index,
        parameters=parameters,
        configured_rate=_number(configured.get("lr")),
        rate=statistics.median(rates) if rates else (0.0 if moved is False else None),
        configured_decay=_number(configured.get("weight_decay")),
        decay=statistics.median(u.weight_decay for u in decays) if decays else None,
    )


def rule_of(parts: Sequence[OfRank]) -> Rule:
    """The rule that the first group is configured to."""
    groups = parts[0].line.groups
    return _rule(groups[0] if groups else {})


def _rule(configured: Mapping[str, object]) -> Rule:
    told = configured.get("betas")
    pair = told if isinstance(told, list) and len(told) == 2 else BETAS
    betas = [float(beta) if 0.0 <= float(beta) < 1.0 else usual for beta, usual in zip(pair, BETAS, strict=True)]
    eps = _number(configured.get("eps"))
    return Rule((Group(("*",)),), beta1=betas[0], beta2=betas[1], eps=EPS if eps is None or not 0 <= eps < 1 else eps)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def states(recording: Recording, parts: Sequence[OfRank]) -> list[tuple[str, TensorState]]:
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
    whole = {name: _one(each) for name, each in joined.items() if each}
    return [(name, state) for name, state in whole.items() if len(state.before)]


def telling(recording: Recording, parts: Sequence[OfRank], rule: Rule, number: int) -> dict[str, TensorState]:
    """Those tensors whose samples tell their rate and decay: float64 [n, 1] of matrices, and [n] of others.

    Left out are those that did not move but could not have, those whose decay would look like the rest of the update,
    and those that are kept in a dtype that hides it.
    """
    shapes = {p.name: p.shape for p in recording.header.parameters}
    if is_coarse(recording, parts):
        return {}
    found = {}
    for name, state in states(recording, parts):
        moved, whole = direction(state, rule, count(parts, number)), state.before
        alike = abs(float(moved @ whole)) > ALIKE * float(moved.norm() * whole.norm())
        if int((moved != 0).sum()) < FEWEST or (bool(whole.any()) and alike):
            continue
        found[name] = _as_matrix(state) if len(shapes[name]) > 1 else state
    return found


def is_coarse(recording: Recording, parts: Sequence[OfRank]) -> bool:
    """Whether what the optimizer steps is kept in a dtype whose rounding hides its rate and its decay."""
    stepped = {dtype for part in parts for dtype in part.line.masters} or set(recording.header.dtypes)
    return not stepped <= {"float32", "float64"}


def _as_matrix(state: TensorState) -> TensorState:
    return TensorState(*(one[:, None] for one in (state.before, state.after, state.first, state.second)))


def count(parts: Sequence[OfRank], number: int) -> int:
    """Adam's count of a step, from 1. Where nothing tells, it is the first if Adam has no moments yet, and else goes by
    the number of the step."""
    told, moments = parts[0].line.count, [p.tensors.get("before/sample/exp_avg") for p in parts]
    if told is None:
        return number + 1 if any(m is not None and bool(m.any()) for m in moments) else 1
    return told + 1


_SAMPLES = (("before", "param"), ("after", "param"), ("after", "exp_avg"), ("after", "exp_avg_sq"))


def _one(states: Sequence[TensorState]) -> TensorState:
    def together(name: str) -> Tensor:
        return torch.cat([getattr(state, name) for state in states])

    return TensorState(together("before"), together("after"), together("first"), together("second"))

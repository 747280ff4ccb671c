"""The update rule that every tensor really followed, with what explains it where it is not the intended one."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite

from harness.intent.intent import Rule
from harness.oracle import floor
from harness.oracle.floor import Floor
from harness.oracle.update import TensorState, TensorUpdate, looked_ahead, recover, recover_eps


@dataclass(frozen=True)
class UpdateRule:
    """The updates of one step, recovered twice: by the rule that was asked for, and by the one that explains them."""

    as_asked: tuple[TensorUpdate, ...]
    """By the intended step count and eps (and the betas that the moments follow)."""
    explained: tuple[TensorUpdate, ...]
    """By the step count and the eps that explain the updates. The same as `as_asked` where those are as intended."""
    steps_ahead: int
    """By how many steps Adam's step count, and so its bias correction, is ahead: 1 if that alone makes the learning
    rate of every tensor right, else 0."""
    eps: float | None
    """An eps under which every update follows from its moments, if the intended one does not and another does."""
    allowed: float
    """The floor's tolerance for what an update leaves unexplained."""
    nesterov: bool = False
    """Whether SGD moved every parameter as Nesterov has it, with the momentum of a step that is yet to come."""
    behind: Mapping[str, int] = field(default_factory=dict)
    """By how many steps Adam's count of a tensor is behind, where it may be and is."""

    def follows(self, update: TensorUpdate) -> bool:
        """Whether an update follows from its moments, as far as its rounding lets one tell."""
        return update.residual <= max(self.allowed, update.residual_bound)

    @property
    def told(self) -> tuple[TensorUpdate, ...]:
        """By the rule that explains them, those that tell their rate."""
        return tuple(u for u in self.explained if isfinite(u.rate_error))

    @property
    def shown(self) -> tuple[TensorUpdate, ...]:
        """What reports show of every tensor: the learning rate that it moved by, if one goes by the intended rule;
        and the decay as it is judged, which a step count or an eps does not touch."""
        if self.nesterov:
            return self.explained
        return tuple(
            replace(plain, weight_decay=judged.weight_decay)
            for plain, judged in zip(self.as_asked, self.explained, strict=True)
        )


def update_rule(
    states: Mapping[str, TensorState],
    rule: Rule,
    step: int,
    rates: Mapping[str, float],
    noise: Floor,
    idle: Collection[str] = (),
    counts: Mapping[str, range] | None = None,
) -> UpdateRule:
    """Recover the rule of optimizer step `step` (from 0), whose right rate is `rates[tensor]` for each.

    `rule`: the intended one, with the betas that the moments follow. `idle`: tensors that have no gradient and should
    have none, so that they do not tell their rate. `counts`: by how many steps Adam's count of a tensor may be behind.
    """
    allowed, behind = noise.tolerance("update"), _behind(states, rule, step + 1, rates, counts or {})

    def recovered(by: Rule, ahead: int = 0, states: Mapping[str, TensorState] = states) -> tuple[TensorUpdate, ...]:
        each = (recover(n, s, by, step + 1 + ahead - behind.get(n, 0), rates[n]) for n, s in states.items())
        return tuple(replace(u, rate_error=inf) if u.tensor in idle else u for u in each)

    def fits_rate(updates: tuple[TensorUpdate, ...]) -> bool:
        return all(
            abs(u.learning_rate - rates[u.tensor])
            <= max(noise.tolerance("learning_rate"), floor.MARGIN * u.rate_error) * rates[u.tensor]
            for u in updates
        )

    def all_follow(updates: tuple[TensorUpdate, ...]) -> bool:
        return all(u.residual <= max(allowed, u.residual_bound) for u in updates)

    as_asked = recovered(rule)
    if rule.name == "sgd" and not (fits_rate(as_asked) and all_follow(as_asked)):
        ahead_of = {n: replace(s, first=looked_ahead(s, rule)) for n, s in states.items()}
        other = recovered(rule, states=ahead_of)
        if fits_rate(other) and all_follow(other):
            return UpdateRule(as_asked, other, 0, None, allowed, nesterov=True, behind=behind)
    ahead = int(not fits_rate(as_asked) and fits_rate(recovered(rule, ahead=1)))
    explained, eps = recovered(rule, ahead) if ahead else as_asked, None
    if not all_follow(explained):
        moving = {n: s for n, s in states.items() if n not in idle}
        found = recover_eps(moving, rule, {n: step + 1 - behind.get(n, 0) for n in moving}) if moving else None
        if found is not None and all_follow(recovered(replace(rule, eps=found))):
            explained, eps = recovered(replace(rule, eps=found), ahead), found
    return UpdateRule(as_asked, explained, ahead, eps, allowed, behind=behind)


def _behind(
    states: Mapping[str, TensorState], rule: Rule, count: int, rates: Mapping[str, float], counts: Mapping[str, range]
) -> dict[str, int]:
    """By how many steps of those that may be Adam's count of a tensor is behind, where it is: as its rate comes nearest
    to the right one."""

    def off(name: str, late: int) -> float:
        return abs(recover(name, states[name], rule, count - late).learning_rate - rates[name])

    if rule.name != "adamw":
        return {}
    found = {name: min(late, key=functools.partial(off, name)) for name, late in counts.items()}
    return {name: late for name, late in found.items() if late}

"""The noise floor: how far a right step would seem to be off, only because it was computed in the run's dtype.

A right step is simulated a few times with the oracle's own forward pass in that dtype, rounding otherwise each time;
then everything is recovered from it just as from a recorded step. What comes out wrong is the floor, and every
tolerance is a multiple of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from harness.intent.intent import Intent, Rule
from harness.oracle.basis import flatten
from harness.oracle.clipping import clip_coefficient
from harness.oracle.forward import Parameters
from harness.oracle.observe import Betas, Moments, Observed, betas, observe, second_moment_error, summed
from harness.oracle.passes import Pass, simulated
from harness.oracle.rounding import Coarse, Draws
from harness.oracle.squares import kept as kept_squares
from harness.oracle.squares import unknown
from harness.oracle.step import DTYPES, RightStep, as_computed
from harness.oracle.update import TensorState, TensorUpdate, estimate, recover
from harness.traces import squares

DRAWS = 3
MARGIN = 5.0
"""Tolerance over floor. The floor is the largest of a few draws of one implementation; another one adds its numbers
in another order. Over 20 seeds of eight frameworks none needed more than 4.6 by one draw a step (docs/floors.md)."""

TELL = 0.5
"""A weight can be told if it is known to less than this share of a trained token's: else it may be that one or 0."""

LOST = 1.0
"""Where the update of every tensor is lost in rounding, as much as all of it."""

DRAWN = ("token", "row", "noise", "residual", "norm", "loss")
"""What the roundings of the forward and backward pass make of a floor; everything behind those is in float32."""
DRAWN_OVER_NEAREST = 2**0.5
"""Error of rounding at random over that of rounding to the nearest, which real arithmetic does: in the mean over all
fractions f of a unit, f (1 - f) makes 1/6 of a unit squared, and min(f, 1 - f)^2 makes 1/12."""


@dataclass(frozen=True)
class Floor:
    """Largest deviation over the draws; relative unless said otherwise."""

    token: float
    """Of one token's weight, as a share of the largest right weight; of those whose weights can be told."""
    row: float
    """Of the mean weight of one conversation's trained tokens that can be told."""
    noise: float
    """Length of what is wrong with a gradient, as its tokens see it one by one: root of the mean square over them of
    the deviation of a token's weight, as in `token`, times the length of what its gradient has for itself."""
    residual: float
    beta1: float
    """Absolute; of SGD, its momentum; where squares alone are held, the share of those."""
    beta2: float
    """Absolute."""
    second: float
    """Of the second moment, from what the recovered gradient makes of it; where there is nothing else, from what the
    change of the parameters makes of it."""
    learning_rate: float
    decay: float
    """Absolute, per step: learning rate x weight decay, as a share of the learning rate."""
    update: float
    norm: float
    loss: float
    auxiliary: float
    """Of one forward pass's load-balancing loss: of its weight, as a share of the right one."""

    def tolerance(self, name: str) -> float:
        """The floor of that name times MARGIN."""
        return MARGIN * float(getattr(self, name))


@dataclass(frozen=True)
class State:
    """Parameters and moments before a step, by tensor, as recorded."""

    parameters: Parameters
    first: Parameters
    second: Parameters


def _nudged(parameters: Parameters, generator: torch.Generator) -> dict[str, Tensor]:
    """Every float32 parameter moved to a neighbouring number, up or down."""
    result = {}
    for name, p in parameters.items():
        up = torch.rand(p.shape, generator=generator) < 0.5
        towards = torch.where(up, torch.inf, -torch.inf)
        result[name] = torch.nextafter(p.float(), towards)
    return result


def _step(right: RightStep, state: State, computed: Pass, draws: Draws = None) -> State:
    """The state after one step from that gradient, in the dtype that parameters are kept in."""
    if right.intent.masters == "fp32":
        return _stepped(right, state, computed)
    dtype = DTYPES[right.intent.precision]
    with Coarse(draws, dtype):
        return _stepped(right, state, computed)


def _stepped(right: RightStep, state: State, computed: Pass) -> State:
    intent, rule, count = right.intent, right.intent.rule, right.update + 1
    clip = clip_coefficient(computed.norm, intent.max_grad_norm)
    first, second, after = {}, {}, {}
    for name, gradient in computed.gradients.items():
        clipped = gradient * clip
        if rule.holds_squares:
            pull = clipped + intent.decay_in_gradient(name) * state.parameters[name].float()
            second[name] = state.second[name].float() * rule.kept + pull.square() * rule.added
            moved = intent.learning_rate(right.update, name) * pull / (second[name].sqrt() + rule.eps)
            after[name] = state.parameters[name].float() - moved
            continue
        if rule.name == "sgd":
            decayed = clipped + intent.decay_in_gradient(name) * state.parameters[name].float()
            first[name] = state.first[name].float() * rule.momentum + decayed
            second[name] = torch.zeros_like(first[name])
            after[name] = state.parameters[name].float() - intent.learning_rate(right.update, name) * first[name]
            continue
        first[name] = state.first[name].float() * rule.beta1 + clipped * (1 - rule.beta1)
        second[name] = state.second[name].float() * rule.beta2 + clipped.square() * (1 - rule.beta2)
        root = (second[name] / (1 - rule.beta2**count)).sqrt() + rule.eps
        rate = intent.learning_rate(right.update, name)
        kept = state.parameters[name].float() * (1 - rate * intent.weight_decay(name))
        after[name] = kept - rate / (1 - rule.beta1**count) * first[name] / root
    return State(after, told_by_squares(state, after, second, rule) if rule.holds_squares else first, second)


def told_by_squares(before: State, parameters: Parameters, second: Parameters, rule: Rule) -> dict[str, Tensor]:
    """What stands for the first moment of an optimizer that holds none: the gradient that its state tells by the rule,
    from that before a step, and parameters and squares after it."""
    return squares.gradients((before.parameters, parameters), (before.second, second), rule.kept, rule.added)


def summed_up(rule: Rule) -> bool:
    """Whether what stands for the first moment is no mean (`Moments.summed`)."""
    return rule.name != "adamw"


def _off(value: float | None, right: float) -> float:
    return 0.0 if value is None else abs(value - right)


def _moments(before: State, after: State, intent: Intent) -> Moments:
    found = (flatten(p) for p in (before.first, after.first, before.second, after.second))
    return undecayed(Moments(*found, summed=summed_up(intent.rule)), before, intent)


def undecayed(moments: Moments, before: State, intent: Intent) -> Moments:
    """The same moments, of gradients of which the intended decay is a part, if it is one."""
    if not moments.summed:
        return moments
    parts = {n: intent.decay_in_gradient(n) * before.parameters[n].double() for n in before.first}
    return replace(moments, decay=flatten(parts))


def deviations(
    right: RightStep, before: State, after: State, norm: float, loss: float, seen: Observed | None = None
) -> Floor:
    """How far a step that is thought to be right is off, simulated or recorded, in the quantities of a floor.

    `norm` (before clipping) and `loss` are as the step told them; `seen` is what was recovered of it, if that is known.
    """
    intent, rule, names = right.intent, right.intent.rule, sorted(before.first)
    moments = _moments(before, after, intent)
    own = right.basis.own_lengths
    seen = seen or observe(right.terms, moments, rule.kept)
    found = betas(moments) if rule.name == "adamw" else summed(right.terms, moments, float(seen.rest.norm()))
    states = _states(right, before, after, names)
    held = kept_squares(states, rule.eps) if rule.holds_squares else None
    if held is not None:
        found = replace(found, beta1=held.share)
    expected = right.weights * right.clip
    deviation = (seen.weights - expected) / expected.abs().max()
    noise = float((deviation * own).square().mean().sqrt())
    told = _told(right, noise)
    rates = {n: intent.learning_rate(right.update, n) for n in names}
    updates = [u for u in _updates(right, states) if not _lost(u)]
    # What has no rate is not rounded either: it stays as it is. What no token touches tells neither rate nor decay.
    moving = [u for u in updates if rates[u.tensor] and bool(after.first[u.tensor].any())]
    least = 0.0 if updates else LOST
    return Floor(
        token=float(deviation[told].abs().max()) if bool(told.any()) else 0.0,
        row=max((abs(float(deviation[c].mean())) for c in _rows_of(right, told)), default=0.0),
        noise=noise,
        residual=seen.residual,
        beta1=_off(found.beta1, rule.kept),
        beta2=_off(found.beta2, rule.beta2),
        second=second_moment_error(moments, rule.kept, rule.beta2) if held is None else held.rest,
        learning_rate=max((abs(u.learning_rate / rates[u.tensor] - 1) for u in moving), default=least),
        decay=max(
            decay_off(found, intent),
            max((abs(u.weight_decay - intent.weight_decay(u.tensor)) for u in moving), default=least),
        ),
        update=max((u.residual for u in updates), default=LOST),
        norm=abs(norm / right.norm - 1),
        loss=abs(loss - right.loss) / right.loss_size,
        auxiliary=float((seen.terms / (right.terms.right * right.clip) - 1).abs().max()) if right.terms.names else 0.0,
    )


def beta_allowed(found: Betas, name: str, noise: Floor) -> float:
    """How far a decay rate that a step tells may be from the intended one, absolute."""
    return max(noise.tolerance(name), MARGIN * float(getattr(found, f"{name}_error")))


def decay_allowed(found: Betas, intent: Intent, noise: Floor) -> float:
    """How far the largest decay in a gradient may be from the intended one, absolute."""
    return max(noise.tolerance("decay"), MARGIN * found.decay_error * _largest_decay(intent))


def decay_off(found: Betas, intent: Intent) -> float:
    """How far the largest decay in a gradient is from the intended one, absolute."""
    return _off(found.decay, 1.0) * _largest_decay(intent)


def _largest_decay(intent: Intent) -> float:
    return max(group.weight_decay for group in intent.rule.groups)


def unit(intent: Intent) -> float:
    """Of the dtype that parameters should be kept in: distance of 1 to the next number."""
    return torch.finfo(torch.float32 if intent.masters == "fp32" else DTYPES[intent.precision]).eps


def _states(right: RightStep, before: State, after: State, names: Sequence[str]) -> dict[str, TensorState]:
    parts = (before.parameters, after.parameters, after.first, after.second)

    def of(name: str) -> TensorState:
        each = (part[name].double() for part in parts)
        return TensorState(*each, unit=unit(right.intent), second_before=before.second[name].double())

    return {n: of(n) for n in names}


def _updates(right: RightStep, states: Mapping[str, TensorState]) -> list[TensorUpdate]:
    """What every tensor's update amounts to; with how well that is known where it is kept in a coarse dtype."""
    rule, coarse = right.intent.rule, right.intent.masters != "fp32"
    count, rates = right.update + 1, {n: right.intent.learning_rate(right.update, n) for n in states}
    if not coarse:
        return [estimate(n, one, rule, count) for n, one in states.items()]
    return [recover(n, one, rule, count, rates[n]) for n, one in states.items()]


def _lost(update: TensorUpdate) -> bool:
    """Whether rounding leaves so little of an update that nothing of its tensor can be told, neither good nor bad."""
    return MARGIN * update.rate_error > TELL


def worst(floors: Sequence[Floor]) -> Floor:
    """The largest of each over several steps: few draws may come out small by luck, and steps are alike."""
    return Floor(**{f.name: max(getattr(one, f.name) for one in floors) for f in fields(Floor)})


def widened(noise: Floor, states: Mapping[str, TensorState], rule: Rule) -> Floor:
    """The floor of a recorded step whose optimizer holds squares alone, which tell a small gradient after large ones
    worse than the right one: what they are measured by grows by as much. Any other floor as it is."""
    held = kept_squares(states, rule.eps) if rule.holds_squares else None
    if not rule.holds_squares:
        return noise
    used = rule if held is None else rule.keeping(min(1.0, max(0.0, held.share)))
    more = max(1.0, unknown(states, used) / noise.residual)
    share = max(1.0, 1.0 if held is None else held.rest / noise.second)
    wider = {name: more * getattr(noise, name) for name in ("token", "row", "noise", "residual", "decay")}
    return replace(noise, beta1=share * noise.beta1, **wider)


def uncertainty(right: RightStep, noise: float) -> Tensor:
    """How far the weight of each column may be from what is recovered, as a share of the largest right weight:
    float64 [columns].

    noise: `Floor.noise`. A token that the model is sure of has a gradient next to nothing, so that its weight is
    anybody's guess; so has one whose gradient other tokens have together.
    """
    return MARGIN * noise / right.basis.own_lengths  # infinite for what has no length of its own


def told(right: RightStep, noise: Floor) -> Tensor:
    """Which columns' weights can be told: bool [columns]. Of the others nothing is known, neither good nor bad."""
    return _told(right, noise.noise)


def _told(right: RightStep, noise: float) -> Tensor:
    sure = uncertainty(right, noise) * float(right.weights.abs().max()) < TELL * float(right.slot_weights.abs().max())
    return sure & (right.basis.own_lengths > 0)


def _rows_of(right: RightStep, told: Tensor) -> list[list[int]]:
    found = [[column for column in columns if told[column]] for columns in rows(right)]
    return [columns for columns in found if columns]


def rows(right: RightStep) -> list[list[int]]:
    """Columns of the trained tokens of each conversation."""
    result: dict[int, list[int]] = {}
    for slot in right.slots:
        if slot.trained:
            result.setdefault(slot.conversation, []).append(slot.column)
    return list(result.values())


def _in_float32(right: RightStep, state: State, generator: torch.Generator, draws: int) -> list[Floor]:
    """Draws from parameters one unit off, which changes all the roundings that follow."""
    seen = as_computed(state.parameters, right.intent.precision)
    passes = (simulated(right, _nudged(seen, generator), torch.float32, None) for _ in range(draws))
    return [deviations(right, state, _step(right, state, one), one.norm, one.loss) for one in passes]


def _coarsely(
    right: RightStep, state: State, dtype: torch.dtype, generator: torch.Generator, draws: int
) -> list[Floor]:
    """One pass that rounds to the nearest, as devices do, so that values that are alike are wrong together; the others
    at random. (A unit of float32 would be lost as the parameters are rounded, and one of a coarse dtype is another
    model.)
    """
    parameters = as_computed(state.parameters, right.intent.precision)
    found = [_by_conversation(right, state, simulated(right, parameters, dtype, None), None)]
    for _ in range(draws - 1):
        drawn = _by_conversation(right, state, simulated(right, parameters, dtype, generator), generator)
        found.append(replace(drawn, **{name: getattr(drawn, name) / DRAWN_OVER_NEAREST for name in DRAWN}))
    return found


def _by_conversation(right: RightStep, state: State, one: Pass, draws: Draws) -> Floor:
    """The deviations of a pass, of which loss and norm are at least what the errors of single conversations make.

    A number's error may be small by luck. It is a sum over the conversations, whose roundings know nothing of each
    other, so the root of the sum of their squares tells how large it could as well have been. Those that are alike
    round alike: their errors are added up first.
    """
    after = _step(right, state, one, draws)
    seen = observe(right.terms, _moments(state, after, right.intent), right.intent.rule.kept)
    found = deviations(right, state, after, one.norm, one.loss, seen)
    first = {tuple(c.ids): number for number, c in enumerate(right.conversations)}
    owners = torch.tensor([first[tuple(right.conversations[slot.conversation].ids)] for slot in right.slots])
    columns = torch.tensor([slot.column for slot in right.slots])

    def together(errors: Tensor) -> float:
        """Root of the sum of squares over different conversations, of an error for each slot."""
        return float(torch.zeros(len(right.conversations)).double().index_add(0, owners, errors.double()).norm())

    off = right.slot_weights * (one.losses - right.basis.losses[columns])
    clip = clip_coefficient(one.norm, right.intent.max_grad_norm)
    # The norm's error to first order: that of the weights along the gradient. Slots of one column share its error.
    along = right.basis.products(right.weights) * (seen.weights / clip - right.weights)
    shared = right.by_column(torch.ones(len(right.slots)))
    return replace(
        found,
        loss=max(found.loss, together(off) / right.loss_size),
        norm=max(found.norm, together((along / shared)[columns]) / right.norm**2),
    )


def measure(right: RightStep, state: State, dtype: torch.dtype | None = None, draws: int = DRAWS) -> Floor:
    """The floor of one step from the state before it, in the intended dtype unless another is given.

    More draws make it larger, never smaller.
    """
    if dtype is None:
        dtype = DTYPES[right.intent.precision]
    generator = torch.Generator().manual_seed(right.number)
    # No number is known better than the dtype that it was kept in. Loss and norm are told in float32 in any case.
    least, told = unit(right.intent), torch.finfo(torch.float32).eps
    lowest = replace(Floor(**{f.name: least for f in fields(Floor)}), noise=0.0, norm=told, loss=told)
    if dtype == torch.float32:
        return worst([*_in_float32(right, state, generator, draws), lowest])
    return worst([*_coarsely(right, state, dtype, generator, draws), lowest])

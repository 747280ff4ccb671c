"""The noise floor: how far a right step would seem to be off, only because it was computed in the run's dtype.

A right step is simulated a few times with the oracle's own forward pass in that dtype, rounding otherwise each time;
then everything is recovered from it just as from a recorded step. What comes out wrong is the floor, and every
tolerance is a multiple of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from harness.oracle import auxiliary, forward
from harness.oracle.basis import flatten
from harness.oracle.clipping import clip_coefficient
from harness.oracle.forward import Parameters
from harness.oracle.observe import Moments, Observed, betas, observe, second_moment_error
from harness.oracle.rounding import BFloat16, Draws, rounded
from harness.oracle.step import RightStep, as_computed
from harness.oracle.update import TensorState, estimate

DRAWS = 3
MARGIN = 5.0
"""Tolerance over floor. The floor is the largest of a few draws of one implementation; another one adds its numbers
in another order. Over 20 seeds of eight frameworks none needed more than 4.6 by one draw a step (docs/floors.md)."""

DRAWN = ("token", "row", "residual", "norm", "loss")
"""What the roundings of the forward and backward pass make of a floor; everything behind those is in float32."""
DRAWN_OVER_NEAREST = 2**0.5
"""Error of rounding at random over that of rounding to the nearest, which real arithmetic does: in the mean over all
fractions f of a unit, f (1 - f) makes 1/6 of a unit squared, and min(f, 1 - f)^2 makes 1/12."""


@dataclass(frozen=True)
class Floor:
    """Largest deviation over the draws; relative unless said otherwise."""

    token: float
    """Of one token's weight, as a share of the largest right weight."""
    row: float
    """Of the mean weight of one conversation's trained tokens."""
    residual: float
    beta1: float
    """Absolute."""
    beta2: float
    """Absolute."""
    second: float
    """Of the second moment, from what the recovered gradient makes of it."""
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


def _losses(right: RightStep, leaves: Parameters, dtype: torch.dtype, draws: Draws) -> tuple[Tensor, Tensor]:
    """Losses of the joined batch as `dtype` computes them, float32 [tokens - 1], and what the terms add to its mean."""
    model = right.model
    ids, positions, first = forward.joined([c.ids for c in right.conversations])
    if dtype == torch.float32:
        made = forward.passed(leaves, model, ids, positions, first)
    else:
        start = {name: rounded(p, draws) for name, p in leaves.items()}
        with BFloat16(draws):
            made = forward.passed(start, model, ids, positions, first)
    beside = torch.zeros(())
    if right.terms.names:
        beside = (right.terms.right * auxiliary.losses(model, right.conversations, made.routers)).sum().float()
    return forward.token_losses(made.logits, ids), beside


def _aggregated(right: RightStep, losses: Tensor) -> Tensor:
    """The loss of the step, float32, from those of the slots, float32 [slots]: added up before it is divided, as
    trainers do, so that weights that are alike round alike."""
    weights = right.slot_weights[right.trained]
    largest = float(weights.abs().max())
    return (losses[right.trained] * (weights / largest).float()).sum() / (1.0 / largest)


@dataclass(frozen=True)
class _Pass:
    """One forward and backward pass over the joined batch."""

    gradients: dict[str, Tensor]
    """Before clipping, float32."""
    losses: Tensor
    """float32 [slots]."""
    loss: float

    @property
    def norm(self) -> float:
        return float(torch.stack([g.norm() for g in self.gradients.values()]).norm())


def _pass(right: RightStep, parameters: Parameters, dtype: torch.dtype, draws: Draws) -> _Pass:
    """The right gradient and loss as `dtype` computes them."""
    leaves = {name: p.detach().float().requires_grad_() for name, p in parameters.items()}
    losses, beside = _losses(right, leaves, dtype, draws)
    predicted = torch.tensor([t > 0 for c in right.conversations for t in range(len(c.ids))])[1:]
    loss = _aggregated(right, losses[predicted]) + beside
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return _Pass(dict(zip(leaves, gradients, strict=True)), losses.detach()[predicted], float(loss.detach()))


def _step(right: RightStep, state: State, computed: _Pass) -> State:
    """The state after one AdamW step in float32 from that gradient."""
    intent, rule, count = right.intent, right.intent.rule, right.number + 1
    clip = clip_coefficient(computed.norm, intent.max_grad_norm)
    first, second, after = {}, {}, {}
    for name, gradient in computed.gradients.items():
        clipped = gradient * clip
        first[name] = state.first[name].float() * rule.beta1 + clipped * (1 - rule.beta1)
        second[name] = state.second[name].float() * rule.beta2 + clipped.square() * (1 - rule.beta2)
        root = (second[name] / (1 - rule.beta2**count)).sqrt() + rule.eps
        rate = intent.learning_rate(right.number, name)
        kept = state.parameters[name].float() * (1 - rate * intent.weight_decay(name))
        after[name] = kept - rate / (1 - rule.beta1**count) * first[name] / root
    return State(after, first, second)


def _off(value: float | None, right: float) -> float:
    return 0.0 if value is None else abs(value - right)


def _moments(before: State, after: State) -> Moments:
    return Moments(*(flatten(p) for p in (before.first, after.first, before.second, after.second)))


def deviations(
    right: RightStep, before: State, after: State, norm: float, loss: float, seen: Observed | None = None
) -> Floor:
    """How far a step that is thought to be right is off, simulated or recorded, in the quantities of a floor.

    `norm` (before clipping) and `loss` are as the step told them; `seen` is what was recovered of it, if that is known.
    """
    intent, rule, names = right.intent, right.intent.rule, sorted(before.parameters)
    moments = _moments(before, after)
    seen = seen or observe(right.terms, moments, rule.beta1)
    found = betas(moments)
    expected = right.weights * right.clip
    deviation = (seen.weights - expected) / expected.abs().max()
    updates = [
        estimate(
            n,
            TensorState(
                before.parameters[n].double(),
                after.parameters[n].double(),
                after.first[n].double(),
                after.second[n].double(),
            ),
            rule,
            right.number + 1,
        )
        for n in names
    ]
    rates = {n: intent.learning_rate(right.number, n) for n in names}
    return Floor(
        token=float(deviation.abs().max()),
        row=max((abs(float(deviation[c].mean())) for c in rows(right)), default=0.0),
        residual=seen.residual,
        beta1=_off(found.beta1, rule.beta1),
        beta2=_off(found.beta2, rule.beta2),
        second=second_moment_error(moments, rule.beta1, rule.beta2),
        learning_rate=max(abs(u.learning_rate / rates[u.tensor] - 1) for u in updates),
        decay=max(abs(u.weight_decay - intent.weight_decay(u.tensor)) for u in updates),
        update=max(u.residual for u in updates),
        norm=abs(norm / right.norm - 1),
        loss=abs(loss / right.loss - 1),
        auxiliary=float((seen.terms / (right.terms.right * right.clip) - 1).abs().max()) if right.terms.names else 0.0,
    )


def worst(floors: Sequence[Floor]) -> Floor:
    """The largest of each over several steps: few draws may come out small by luck, and steps are alike."""
    return Floor(**{f.name: max(getattr(one, f.name) for one in floors) for f in fields(Floor)})


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
    passes = (_pass(right, _nudged(seen, generator), torch.float32, None) for _ in range(draws))
    return [deviations(right, state, _step(right, state, one), one.norm, one.loss) for one in passes]


def _in_bfloat16(right: RightStep, state: State, generator: torch.Generator, draws: int) -> list[Floor]:
    """One pass that rounds to the nearest, as devices do, so that values that are alike are wrong together; the others
    at random. (A unit of float32 would be lost as the parameters are rounded, and a unit of bfloat16 is another model.)
    """
    parameters = as_computed(state.parameters, right.intent.precision)
    found = [_by_conversation(right, state, _pass(right, parameters, torch.bfloat16, None))]
    for _ in range(draws - 1):
        drawn = _by_conversation(right, state, _pass(right, parameters, torch.bfloat16, generator))
        found.append(replace(drawn, **{name: getattr(drawn, name) / DRAWN_OVER_NEAREST for name in DRAWN}))
    return found


def _by_conversation(right: RightStep, state: State, one: _Pass) -> Floor:
    """The deviations of a pass, of which loss and norm are at least what the errors of single conversations make.

    A number's error may be small by luck. It is a sum over the conversations, whose roundings know nothing of each
    other, so the root of the sum of their squares tells how large it could as well have been.
    """
    after = _step(right, state, one)
    seen = observe(right.terms, _moments(state, after), right.intent.rule.beta1)
    found = deviations(right, state, after, one.norm, one.loss, seen)
    owners = torch.tensor([slot.conversation for slot in right.slots])
    columns = torch.tensor([slot.column for slot in right.slots])

    def together(errors: Tensor) -> float:
        """Root of the sum of squares over conversations, of an error for each slot."""
        return float(torch.zeros(len(right.conversations)).double().index_add(0, owners, errors.double()).norm())

    off = right.slot_weights * (one.losses - right.basis.losses[columns])
    clip = clip_coefficient(one.norm, right.intent.max_grad_norm)
    # The norm's error to first order: that of the weights along the gradient. Slots of one column share its error.
    along = right.basis.products(right.weights) * (seen.weights / clip - right.weights)
    shared = right.by_column(torch.ones(len(right.slots)))
    return replace(
        found,
        loss=max(found.loss, together(off) / abs(right.loss)),
        norm=max(found.norm, together((along / shared)[columns]) / right.norm**2),
    )


def measure(right: RightStep, state: State, dtype: torch.dtype | None = None, draws: int = DRAWS) -> Floor:
    """The floor of one step from the state before it, in the intended dtype unless another is given.

    More draws make it larger, never smaller.
    """
    if dtype is None:
        dtype = torch.bfloat16 if right.intent.precision == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(right.number)
    draw = _in_bfloat16 if dtype == torch.bfloat16 else _in_float32
    # No number is known better than the float32 that it was recorded in.
    least = torch.finfo(torch.float32).eps
    return worst([*draw(right, state, generator, draws), Floor(**{f.name: least for f in fields(Floor)})])

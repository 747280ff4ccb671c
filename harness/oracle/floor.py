"""The noise floor: how far a right step would seem to be off, only because it was computed in the run's dtype.

A right step is simulated a few times with the oracle's own forward pass in that dtype, from parameters moved by one
unit in the last place; then everything is recovered from it just as from a recorded step. What comes out wrong is
the floor, and every tolerance is a multiple of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from harness.oracle import forward
from harness.oracle.basis import flatten
from harness.oracle.forward import Parameters
from harness.oracle.observe import Moments, betas, observe, second_moment_error
from harness.oracle.rounding import BFloat16, Drawn
from harness.oracle.step import RightStep, as_computed, clip_coefficient
from harness.oracle.update import TensorState, recover

DRAWS = 3
MARGIN = 5.0
"""Tolerance over floor. The floor is the largest of a few draws of one implementation; another one adds its numbers
in another order. Over 20 seeds of every scenario no framework needed more than 3.84 (docs/floors.md)."""


DRAWN = ("token", "row", "residual", "norm", "loss")
"""What the roundings of the forward and backward pass make of a floor; everything behind those is in float32."""
DRAWN_OVER_NEAREST = 2**0.5
"""Rounding at random errs by 1/6 of a unit squared in the mean, f (1 - f) over all fractions f of a unit; rounding to
the nearest, which is what real arithmetic does, by 1/12."""


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


def _losses(right: RightStep, leaves: Parameters, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Losses of the joined batch as `dtype` computes them, float32 [tokens - 1]."""
    model = right.scenario.model
    ids, positions, first = forward.joined([c.ids for c in right.conversations])
    if dtype == torch.float32:
        return forward.losses(leaves, model, ids, positions, first)
    rounded = {name: Drawn.apply(p, generator) for name, p in leaves.items()}
    with BFloat16(generator):
        scores = forward.logits(rounded, model, ids, positions, first)
    return forward.token_losses(scores, ids)


def _gradient(
    right: RightStep, parameters: Parameters, dtype: torch.dtype, generator: torch.Generator
) -> tuple[dict[str, Tensor], float]:
    """The right gradient before clipping and the loss, computed in `dtype` by one pass over the joined batch.

    Each call is another draw. In float32, parameters one unit off change all the roundings that follow. Rounding to
    bfloat16 would undo that, and a unit of bfloat16 would be another model: there the roundings themselves are drawn.
    """
    start = _nudged(parameters, generator) if dtype == torch.float32 else parameters
    leaves = {name: p.detach().float().requires_grad_() for name, p in start.items()}
    losses = _losses(right, leaves, dtype, generator)
    mask = torch.tensor([m for c in right.conversations for m in (False, *c.trained[1:])])[1:]
    loss = losses[mask].sum() / right.targets
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, gradients, strict=True)), float(loss.detach())


def _step(right: RightStep, state: State, dtype: torch.dtype, generator: torch.Generator) -> tuple[State, float, float]:
    """One AdamW step in float32 from such a gradient; the new state, its gradient norm and its loss."""
    rule, count = right.scenario.optimizer, right.number + 1
    rate = right.scenario.learning_rate_at(right.number)
    gradients, loss = _gradient(right, as_computed(state.parameters, right.scenario), dtype, generator)
    norm = float(torch.stack([g.norm() for g in gradients.values()]).norm())
    clip = clip_coefficient(norm, right.scenario.max_grad_norm)
    first, second, after = {}, {}, {}
    for name, gradient in gradients.items():
        clipped = gradient * clip
        first[name] = state.first[name].float() * rule.beta1 + clipped * (1 - rule.beta1)
        second[name] = state.second[name].float() * rule.beta2 + clipped.square() * (1 - rule.beta2)
        root = (second[name] / (1 - rule.beta2**count)).sqrt() + rule.eps
        decay = rule.weight_decay if gradient.ndim > 1 else 0.0
        kept = state.parameters[name].float() * (1 - rate * decay)
        after[name] = kept - rate / (1 - rule.beta1**count) * first[name] / root
    return State(after, first, second), norm, loss


def _off(value: float | None, right: float) -> float:
    return 0.0 if value is None else abs(value - right)


def deviations(right: RightStep, before: State, after: State, norm: float, loss: float) -> Floor:
    """How far a step that is thought to be right is off, simulated or recorded, in the quantities of a floor.

    `norm` (before clipping) and `loss` are as the step told them.
    """
    scenario, names = right.scenario, sorted(before.parameters)
    rule, rate = scenario.optimizer, scenario.learning_rate_at(right.number)
    moments = Moments(*(flatten(p) for p in (before.first, after.first, before.second, after.second)))
    seen = observe(right.basis, moments, rule.beta1)
    found = betas(moments)
    expected = right.weights * right.clip
    deviation = (seen.weights - expected) / expected.max()
    updates = [
        recover(
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
    decays = {n: rule.weight_decay if before.parameters[n].ndim > 1 else 0.0 for n in names}
    return Floor(
        token=float(deviation.abs().max()),
        row=max((abs(float(deviation[c].mean())) for c in rows(right)), default=0.0),
        residual=seen.residual,
        beta1=_off(found.beta1, rule.beta1),
        beta2=_off(found.beta2, rule.beta2),
        second=second_moment_error(moments, rule.beta1, rule.beta2),
        learning_rate=max(abs(u.learning_rate / rate - 1) for u in updates),
        decay=max(abs(u.weight_decay - decays[u.tensor]) for u in updates),
        update=max(u.residual for u in updates),
        norm=abs(norm / right.norm - 1),
        loss=abs(loss / right.loss - 1),
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


def measure(right: RightStep, state: State, dtype: torch.dtype | None = None) -> Floor:
    """The floor of one step from the state before it, in the scenario's dtype unless another is given."""
    if dtype is None:
        dtype = torch.bfloat16 if right.scenario.precision == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(right.number)
    results = []
    for _ in range(DRAWS):
        after, norm, loss = _step(right, state, dtype, generator)
        results.append(deviations(right, state, after, norm, loss))
    found = worst(results)
    if dtype == torch.bfloat16:
        found = replace(found, **{name: getattr(found, name) / DRAWN_OVER_NEAREST for name in DRAWN})
    # No number is known better than the float32 that it was recorded in.
    least = torch.finfo(torch.float32).eps
    return worst([found, Floor(**{f.name: least for f in fields(Floor)})])

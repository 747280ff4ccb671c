"""From the evidence of a step to what is kept of it beside the trace (`harness.traces.recovered_numbers`)."""

from __future__ import annotations

import statistics
from math import isfinite

import torch
from torch import Tensor

from harness.judging.evidence import StepEvidence
from harness.oracle.update import TensorState, TensorUpdate, direction
from harness.traces.recovered_numbers import Compared, ConversationWeights, StepWeights, TensorStep
from scenarios import weights as shapes

DIGITS = 9
"""Significant decimal digits of a weight that are kept; float32 has eight at most."""


def summarize(evidence: StepEvidence) -> StepWeights:
    """What was recovered from one step."""
    right = evidence.right
    return StepWeights(
        step=evidence.step,
        targets=right.targets,
        right=evidence.right.largest,
        tolerance=evidence.floor.tolerance("token") * evidence.right.largest,
        untold=int((~evidence.tokens.told).sum()),
        residual=evidence.residual,
        residual_tolerance=evidence.floor.tolerance("residual"),
        loss=_compared(evidence, "loss", None, evidence.loss_right),
        grad_norm=_compared(evidence, "norm", evidence.norm_used, evidence.norm_right),
        learning_rate=_compared(evidence, "learning_rate", _rate(evidence), evidence.scheduled_rate),
        tensors=_tensors(evidence),
        conversations=_conversations(evidence),
    )


def _compared(evidence: StepEvidence, name: str, recovered: float | None, right: float) -> Compared:
    """`name` is the floor's."""
    told = evidence.recorded.reported
    reported = {"loss": told.loss, "norm": told.grad_norm, "learning_rate": told.learning_rate}
    return Compared(reported=reported[name], recovered=recovered, right=right, tolerance=evidence.floor.tolerance(name))


def _rate(evidence: StepEvidence) -> float:
    shown = evidence.update.shown
    return statistics.median([u.learning_rate for u in shown if isfinite(u.rate_error)] or [0.0])


def _conversations(evidence: StepEvidence) -> tuple[ConversationWeights, ...]:
    right = evidence.right
    found: list[list[float]] = [[] for _ in right.conversations]
    weights = evidence.tokens.slots.where(evidence.tokens.told, torch.nan)
    for slot, weight in zip(right.slots, weights.tolist(), strict=True):
        found[slot.conversation].append(float(f"{weight:.{DIGITS}g}"))
    return tuple(
        ConversationWeights(
            rank=c.rank, micro_batch=c.micro_batch, row=c.row, ids=c.ids, trained=c.trained, weights=tuple(weights)
        )
        for c, weights in zip(right.conversations, found, strict=True)
    )


def _tensors(evidence: StepEvidence) -> tuple[TensorStep, ...]:
    gradients = _right_gradients(evidence)
    updates = {update.tensor: update for update in evidence.update.shown}
    names = shapes.shapes(evidence.right.model)
    return tuple(_tensor(evidence, updates[name], gradients[name]) for name in names if name in updates)


def _tensor(evidence: StepEvidence, update: TensorUpdate, gradient: Tensor) -> TensorStep:
    state = evidence.recorded.states[update.tensor]
    moved = state.after - state.before
    right = _right_move(evidence, update.tensor, gradient)
    return TensorStep(
        name=update.tensor,
        moved=float(moved.norm()),
        off=float((moved - right).norm() / right.norm().clamp_min(torch.finfo(torch.float64).tiny)),
        learning_rate=update.learning_rate,
        weight_decay=update.weight_decay,
        right_decay=evidence.expected_decay(update.tensor),
    )


def _right_gradients(evidence: StepEvidence) -> dict[str, Tensor]:
    """The right gradient after clipping, by tensor, float64."""
    right = evidence.right
    flat = right.gradient * right.clip
    names = sorted(evidence.recorded.states)  # as a basis has them
    parts = torch.split(flat, [evidence.recorded.states[name].before.numel() for name in names])
    return {n: part.reshape(evidence.recorded.states[n].before.shape) for n, part in zip(names, parts, strict=True)}


def _right_move(evidence: StepEvidence, name: str, gradient: Tensor) -> Tensor:
    """The update by the intended rule, from the state that the framework had before the step; float64."""
    rule, before = evidence.right.intent.rule, evidence.recorded.states[name].before
    if name in evidence.left_out:
        return torch.zeros_like(before)
    count = evidence.right.update + 1 - evidence.update.behind.get(name, 0)
    if rule.holds_squares:
        pull = gradient + evidence.right.intent.decay_in_gradient(name) * before
        second = rule.kept * evidence.recorded.before.second[name].double() + rule.added * pull.square()
        unit = direction(TensorState(before, before, pull, second), rule, count)
        return -evidence.expected_learning_rate(name) * unit
    if rule.name == "sgd":
        decayed = gradient + evidence.right.intent.decay_in_gradient(name) * before
        kept = rule.momentum * evidence.recorded.before.first[name].double()
        return -evidence.expected_learning_rate(name) * (kept + decayed)
    first = rule.beta1 * evidence.recorded.before.first[name].double() + (1 - rule.beta1) * gradient
    second = rule.beta2 * evidence.recorded.before.second[name].double() + (1 - rule.beta2) * gradient.square()
    unit = direction(TensorState(before, before, first, second), rule, count)
    return -evidence.expected_learning_rate(name) * (unit + evidence.expected_decay(name) * before)

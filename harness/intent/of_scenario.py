"""The intent of a scenario: a mean over the trained tokens of the global batch, decay on matrices alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters import contract
from adapters.contract import Optimizer, Scenario
from harness.intent.intent import Aggregation, Drawn, Group, Intent, Mean, Rule, TokenLoss, Window
from harness.intent.objective import Policy, Preferences
from harness.intent.schedule import Schedule
from scenarios import rendering, text, weights


@functools.lru_cache(maxsize=4)
def of_scenario(scenario: Scenario) -> Intent:
    """What the steps of a run of this scenario should be."""
    windows, tokens = _windows(scenario), scenario.window.micro_batch_tokens
    intent = Intent(
        rule=rule(scenario.optimizer, weights.shapes(scenario.model)),
        steps=scenario.window.steps,
        ranks=scenario.window.ranks,
        accumulation=scenario.window.accumulation,
        micro_batch_size=scenario.window.micro_batch_size,
        rows_per_sequence=max(map(len, scenario.sequences), default=1),
        windows=windows if tokens is None else None,
        micro_batch_tokens=tokens,
        drawn=_drawn(scenario),
        trained=scenario.data.trained,
        max_grad_norm=scenario.optimizer.max_grad_norm,
        schedule=schedule(scenario.optimizer.schedule, scenario.window.steps),
        precision=scenario.precision.compute,
        masters=scenario.precision.masters,
        reduction=scenario.precision.reduction,
        loss_scale=scenario.precision.loss_scale if scenario.precision.compute == "fp16" else None,
        auxiliary=scenario.loss.auxiliary,
        aggregation=_aggregation(scenario),
        token_loss=TokenLoss(scenario.loss.label_smoothing, scenario.loss.token_weight == "probability"),
    )
    return intent if tokens is None or windows is None else intent.composed(windows)


def rule(wanted: Optimizer, shapes: Mapping[str, Sequence[int]]) -> Rule:
    """The rule of an optimizer, over parameters of these shapes, by name."""
    found: dict[tuple[float, float], list[str]] = {}
    for name, shape in shapes.items():
        found.setdefault(_own(wanted, name, len(shape) > 1), []).append(name)
    groups = tuple(Group(tuple(names), decay, rate) for (rate, decay), names in found.items())
    plain = Rule(groups, wanted.learning_rate, wanted.beta1, wanted.beta2, wanted.eps)
    alpha = wanted.alpha if wanted.kind == "rmsprop" else None
    return replace(plain, name=wanted.kind, momentum=wanted.momentum, alpha=alpha) if wanted.kind != "adamw" else plain


def _own(wanted: Optimizer, name: str, matrix: bool) -> tuple[float, float]:
    """Multiple of the learning rate, and weight decay, of a tensor."""
    decay = wanted.weight_decay if matrix or wanted.decayed == "all" else 0.0
    for group in wanted.groups:
        if Group(group.tensors).holds(name):
            return group.rate, decay if group.weight_decay is None else group.weight_decay
    return 1.0, decay


def schedule(told: contract.Schedule, steps: int) -> Schedule:
    """The schedule of an optimizer, in a run of so many steps."""
    if told.constant:
        return Schedule()
    if told.decay == "none" and told.warmup_from == "first":
        return Schedule("linear-warmup", told.warmup(steps))
    return Schedule(
        "phases",
        warmup_steps=told.warmup(steps),
        decay=told.decay,
        horizon=told.span(steps) if told.decay != "none" else 0,
        stable_steps=told.stable_steps,
        least=told.least,
        power=told.power,
        warmup_from=told.warmup_from,
        warmup_shape=told.warmup_shape,
        least_at=told.least_at,
    )


def _aggregation(scenario: Scenario) -> Aggregation:
    wanted = scenario.objective
    if wanted.method == "dpo":
        held, share = wanted.reference == "initial", wanted.preference_smoothing
        return Preferences(wanted.beta, wanted.preference, share, held, wanted.sft_coefficient)
    if wanted.method == "sft":
        return Mean()
    rows, eos = rendering.rendered(scenario), text.SPECIAL.index(text.EOS)
    endless = tuple(i for i, row in enumerate(rows) if row.ids[-1] != eos)
    return Policy(
        rewards=wanted.rewards,
        group_size=wanted.group_size,
        advantage=wanted.advantage,
        over="row" if wanted.normaliser == "row" else "token",
        constant=wanted.normaliser_constant if wanted.normaliser == "constant" else None,
        ratio=wanted.ratio,
        clip_low=wanted.clip_low,
        clip_high=wanted.clip_high,
        every=wanted.rollout_steps,
        masked=endless if wanted.truncated == "masked" else (),
        tokens=tuple(sum(row.loss_mask) for row in rows),
        demonstrations=wanted.demonstrations,
        shaping=wanted.shaping,
        sft_coefficient=wanted.sft_coefficient,
        beta=wanted.beta if wanted.reference == "initial" else 0.0,
        divergence=wanted.divergence,
    )


def _drawn(scenario: Scenario) -> Drawn | None:
    rows = len(scenario.data.rows)
    if scenario.data.packed_length is not None:
        shuffled = scenario.data.order == "shuffled"
        return Drawn(rows=rows, epoch=rows, anew=shuffled, free=not shuffled, filled=True)
    if scenario.data.order == "given":
        return None
    epoch = scenario.dealing.trained * scenario.data.rows_per_sequence
    # Of few rows, all orders by length may be one.
    by_length = scenario.data.order == "by-length"
    return Drawn(rows=rows, epoch=epoch, anew=not by_length, grouped=by_length)


def _windows(scenario: Scenario) -> tuple[Window, ...] | None:
    """None where the framework packs: it chooses also how many rows a step has."""
    if scenario.data.packed_length is not None:
        return None
    return tuple(_window(scenario, step) for step in range(scenario.window.steps))


def _window(scenario: Scenario, step: int) -> Window:
    return tuple(
        tuple(
            tuple(row for sequence in scenario.sequence_rows(step, micro_batch, rank) for row in sequence)
            for rank in range(scenario.window.ranks)
        )
        for micro_batch in range(scenario.micro_batches(step))
    )

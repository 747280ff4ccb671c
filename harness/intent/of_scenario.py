"""The intent of a scenario: a mean over the responses' tokens of the global batch, decay on matrices alone."""

from __future__ import annotations

import functools

from adapters.contract import Scenario
from harness.intent.intent import Group, Intent, Rule, Schedule, Window
from scenarios import weights


@functools.lru_cache(maxsize=4)
def of_scenario(scenario: Scenario) -> Intent:
    """What the steps of a run of this scenario should be."""
    return Intent(
        rule=_rule(scenario),
        steps=scenario.steps,
        ranks=scenario.ranks,
        accumulation=scenario.accumulation,
        micro_batch_size=scenario.micro_batch_size,
        rows_per_sequence=scenario.rows_per_sequence,
        windows=tuple(_window(scenario, step) for step in range(scenario.steps)),
        max_grad_norm=scenario.max_grad_norm,
        schedule=_schedule(scenario),
        precision=scenario.precision,
        auxiliary=scenario.auxiliary,
    )


def _rule(scenario: Scenario) -> Rule:
    wanted, shapes = scenario.optimizer, weights.shapes(scenario.model)
    groups = (
        Group(tuple(name for name, shape in shapes.items() if len(shape) > 1), wanted.weight_decay),
        Group(tuple(name for name, shape in shapes.items() if len(shape) <= 1), 0.0),
    )
    return Rule(groups, wanted.learning_rate, wanted.beta1, wanted.beta2, wanted.eps)


def _schedule(scenario: Scenario) -> Schedule:
    told = scenario.schedule
    if told.constant:
        return Schedule()
    if told.old is not None:
        return Schedule("linear-warmup", told.warmup_steps)
    return Schedule("given", factors=tuple(told.factor(step, scenario.steps) for step in range(scenario.steps + 1)))


def _window(scenario: Scenario, step: int) -> Window:
    return tuple(
        tuple(
            tuple(row for sequence in scenario.sequence_rows(step, micro_batch, rank) for row in sequence)
            for rank in range(scenario.ranks)
        )
        for micro_batch in range(scenario.accumulation)
    )

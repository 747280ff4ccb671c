"""Traces of a small window that tells all aggregations apart, and other things that somebody could have wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.contract import Model, Scenario, vary
from adapters.faults import Plan
from harness.intent.intent import Given, Intent, Mean, Sum
from harness.intent.of_scenario import of_scenario
from harness.intent.schedule import Schedule
from harness.traces.batch import right_rows
from scenarios import bases, text
from tests.faults import simulate

RESPONSES = (3, 5, 2, 4, 7, 2, 5, 3, 4, 6, 2, 3, 5, 4, 3, 6)


def scenario() -> Scenario:
    """2 ranks x 2 micro-batches x 2 rows, 2 steps of 31 and 33 tokens; decays, and clips at 1."""
    words = text.vocabulary(64)
    return vary(
        bases.compose((3, 5, 2, 4), 2, 0),
        name="wanted",
        model=Model(hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=16, vocab_size=64),
        vocabulary=words,
        rows=text.conversations(words, [4, 3, 5, 2] * 4, list(RESPONSES), 0),
        weight_decay=0.1,
        accumulation=2,
        micro_batch_size=2,
    )


def made(plan: Plan, folder: Path, **changed: object) -> Path:
    return simulate.run(vary(scenario(), **changed), plan, folder)


def intent(**changed: object) -> Intent:
    return replace(of_scenario(scenario()), **changed)


def decaying(decay: float) -> Intent:
    """With that decay on matrices."""
    rule = intent().rule
    return intent(rule=replace(rule, groups=(replace(rule.groups[0], weight_decay=decay), rule.groups[1])))


def given(row: int, factor: float) -> Given:
    """The weights of a mean over the tokens of each step, those of one row multiplied."""
    counts = [sum(RESPONSES[:8]), sum(RESPONSES[8:])]
    rows = right_rows(scenario())
    return Given(
        tuple(
            tuple((factor if i == row else 1.0) / counts[i // 8] for _ in rendered.ids)
            for i, rendered in enumerate(rows)
        )
    )


FALLING = Schedule("given", factors=(1.0, 0.5))

WRONG: dict[str, tuple[Intent, str, str]] = {
    "mean over sequences": (intent(aggregation=Mean("row")), "weights.aggregation", "aggregation"),
    "mean over micro-batches": (intent(aggregation=Mean("micro-batch")), "weights.aggregation", "aggregation"),
    "given weights": (intent(aggregation=given(0, 3.0)), "weights.aggregation", "aggregation"),
    "sum, whose factor clipping hides": (intent(aggregation=Sum(1.0)), "grad-norm.value", "gradient-scale"),
    "sum over what makes it short": (intent(aggregation=Sum(2000.0)), "weights.scale", "gradient-scale"),
    "smaller limit": (intent(max_grad_norm=0.5), "update.clip", "clipping"),
    "no limit": (intent(max_grad_norm=None), "update.clip", "clipping"),
    "warm-up": (intent(schedule=Schedule("linear-warmup", 4)), "update.learning-rate", "learning-rate-schedule"),
    "falling rate": (intent(schedule=FALLING), "update.learning-rate", "learning-rate-schedule"),
    "less decay": (decaying(0.01), "update.weight-decay", "weight-decay"),
    "everything trained": (intent(trained="everything"), "weights.mask", "loss-mask"),
    "the tag trained": (intent(trained="with-tag"), "weights.mask", "loss-mask"),
    "the EOS untrained": (intent(trained="no-eos"), "weights.mask", "loss-mask"),
    "other rows": (intent(windows=(intent().windows or ())[::-1]), "inputs.batch", "batch-composition"),
}  # fmt: skip
"""Each with a finding that must be made of it on a right trace, and the one cause."""

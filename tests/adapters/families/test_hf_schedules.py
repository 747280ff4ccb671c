"""A schedule of a scenario by transformers' name for it is the same schedule."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from transformers import get_scheduler

from adapters.contract import Optimizer, Schedule
from adapters.families.hf_schedules import named
from tests.scenarios.drawn import STEPS, schedules

RULE = Optimizer(learning_rate=2e-3)


@settings(deadline=None)
@given(schedules())
def test_transformers_has_the_same_rates(told: Schedule) -> None:
    found = named(told, RULE, STEPS)
    if found is None:
        return
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RULE.learning_rate)
    theirs = get_scheduler(found.name, optimizer, told.warmup(STEPS), told.span(STEPS), found.kwargs or None)
    for step in range(STEPS):
        wanted = RULE.learning_rate * told.factor(step, STEPS)
        assert theirs.get_last_lr()[0] == pytest.approx(wanted, abs=1e-12), (found, step)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (Schedule(), "constant"),
        (Schedule(warmup_steps=2, warmup_from="zero"), "constant_with_warmup"),
        (Schedule("linear"), "linear"),
        (Schedule("linear", least=0.1), "polynomial"),
        (Schedule("cosine", warmup_ratio=0.1, warmup_from="zero"), "cosine"),
        (Schedule("cosine", least=0.1), "cosine_with_min_lr"),
        (Schedule("cosine", least=0.1, least_at="last", warmup_steps=2), "cosine_warmup_with_min_lr"),
        (Schedule("polynomial", power=2.0), "polynomial"),
        (Schedule("cosine", least=0.1, stable_steps=2, warmup_steps=1, warmup_from="least"), "warmup_stable_decay"),
        (Schedule("one-minus-sqrt"), "warmup_stable_decay"),
    ],
)
def test_every_schedule_that_transformers_has_is_named(told: Schedule, name: str) -> None:
    found = named(told, RULE, STEPS)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "told",
    [
        Schedule(warmup_steps=2),
        Schedule("linear", warmup_steps=2),
        Schedule("linear", least_at="last"),
        Schedule("polynomial", stable_steps=2),
        Schedule("cosine", least=0.1, stable_steps=2, warmup_steps=1, warmup_from="zero"),
    ],
)
def test_what_transformers_has_not_is_not_named(told: Schedule) -> None:
    assert named(told, RULE, STEPS) is None

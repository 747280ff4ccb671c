"""Schedules that a configuration names, against those that transformers makes of the same words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import get_scheduler

from adapters.contract import Schedule
from harness.validation.read.bounded import BadConfiguration
from harness.validation.step import schedules

RATE = 2e-3
KINDS: dict[str, dict[str, Any]] = {
    "constant": {},
    "constant_with_warmup": {},
    "linear": {},
    "cosine": {},
    "cosine_with_restarts": {},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "polynomial": {"lr_end": 1e-5, "power": 2.0},
    "cosine_warmup_with_min_lr": {"min_lr": 1e-4},
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 9), st.integers(12, 40))
def test_the_trainers(kind: str, warmup: int, steps: int) -> None:
    told = schedules.of_transformers(kind, KINDS[kind], RATE, Schedule(warmup_steps=warmup))
    assert told is not None
    rates = really(kind, KINDS[kind], warmup, steps)
    assert [told.factor(step, steps) * RATE for step in range(steps)] == pytest.approx(rates, abs=1e-12)


def test_a_stretched_one() -> None:
    extra = {"num_stable_steps": 5, "num_decay_steps": 10, "decay_type": "1-sqrt", "min_lr_ratio": 0.2}
    told = schedules.of_transformers("warmup_stable_decay", extra, RATE, Schedule(warmup_steps=4))
    assert told is not None
    rates = really("warmup_stable_decay", extra, 4, 19)
    assert [told.factor(step, 30) * RATE for step in range(19)] == pytest.approx(rates, abs=1e-12)


def really(kind: str, extra: dict[str, Any], warmup: int, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = get_scheduler(kind, optimizer, warmup, steps, scheduler_specific_kwargs=extra)
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("kind", ["inverse_sqrt", "reduce_lr_on_plateau", "somebodys", ""])
def test_what_no_intent_says(kind: str) -> None:
    assert schedules.of_transformers(kind, None, RATE, Schedule(warmup_steps=1)) is None
    assert schedules.of_deepspeed(kind, {}, Schedule()) is None


@pytest.mark.parametrize("extra", [{}, {"min_lr_rate": 2}, {"min_lr": "low"}])
def test_a_least_rate_that_is_none(extra: dict[str, Any]) -> None:
    with pytest.raises(BadConfiguration, match="min_lr"):
        schedules.of_transformers("cosine_with_min_lr", extra, RATE, Schedule())


@pytest.mark.parametrize(
    ("kind", "decay"), [("WarmupLR", "none"), ("WarmupDecayLR", "linear"), ("WarmupCosineLR", "cosine")]
)
def test_deepspeeds(kind: str, decay: str) -> None:
    told = schedules.of_deepspeed(kind, {"total_num_steps": 50, "warmup_num_steps": 5}, Schedule())
    assert told is not None
    assert (told.decay, told.warmup_steps, told.warmup_from, told.warmup_shape) == (decay, 5, "zero", "log")
    assert told.span(99) == (99 if decay == "none" else 50)

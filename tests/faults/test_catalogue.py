"""Every fault of the catalogue on every scenario of the catalogue that plain PyTorch can run."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

import scenarios
from adapters import torch_sft
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from tests.faults import kinds, proof

RUNNABLE = [name for name in scenarios.CATALOGUE if torch_sft.unsupported(scenarios.get(name), "") is None]

WHOLE = "sft-ragged"
"""Runs with all of its steps; the others make two, since the third is like the second."""
EPOCHS = ("sft-ragged-epochs", "sft-ragged-shuffled", "sft-ragged-resume")
"""And these, which get to a second epoch later, or go on from a checkpoint."""
LATER = ("sft-ragged-packing", "sft-ragged-cosine-epochs", "sft-ragged-paper")
"""As `EPOCHS`."""
UNCUT = (WHOLE, *EPOCHS, *LATER, "sft-ragged-cosine")
"""And where a schedule falls over the run: two steps are another schedule."""
SCALED = "sft-ragged-fp16"
OF_OVERFLOWS = ("overflow-ignored", "overflow-skipped-alone")
FAMILIES = tuple(name for name in RUNNABLE if scenarios.get(name).model.architecture not in ("llama", "mixtral"))
OBJECTIVES = tuple(name for name in RUNNABLE if scenarios.get(name).objective.method != "sft")
OF_WEIGHTS = ("objective", "dropped-micro-batches", "mean-of-means", "gradient-scale", "loss-mask", "clipping")
"""Causes whose faults are planted on these: what has nothing to do with weights, other scenarios show."""
TRAINED = (
    "sft-ragged-smoothed",
    "sft-ragged-lora",
    "sft-ragged-rslora",
    "sft-ragged-dft",
    "sft-ragged-checkpointed",
)
"""Of another loss of a token, of another part of the model, and of layers that are computed again."""
FIRST = (
    WHOLE,
    *EPOCHS,
    "sft-ragged-decay",
    "sft-ragged-decay-all",
    "sft-ragged-groups",
    "sft-ragged-warmup",
    "sft-ragged-cosine",
    "sft-ragged-packed",
    "sft-ragged-moe-aux",
    "sft-ragged-pad-eos",
    "sft-ragged-bos",
    SCALED,
    *TRAINED,
    *FAMILIES,
    *LATER,
    *OBJECTIVES,
)
"""A fault is planted on the first of these that shows it, and on `WHOLE`; `make test-all` plants it everywhere."""


@functools.cache
def _scenario(name: str, fault: str | None = None) -> Scenario:
    """What overflows runs whole for a clean run and for faults of that; else by a scale under which nothing does, for
    a gradient that is too long overflows longer than there are steps."""
    scenario = scenarios.get(name)
    if name in UNCUT or name in OBJECTIVES or (name == SCALED and fault in (None, *OF_OVERFLOWS)):
        return scenario
    return vary(scenario, steps=2, **({"loss_scale": 65536.0} if name == SCALED else {}))


@functools.cache
def _quick(fault: str) -> str | None:
    """None for one that no named scenario shows (`test_unnamed.py` has one that does)."""
    shown = (name for name in FIRST if CATALOGUE[fault].hidden(_scenario(name, fault)) is None)
    return kinds.APART.get(fault) or next(shown, None)


def _marks(name: str, fault: str) -> list[pytest.MarkDecorator]:
    if name == _quick(fault):
        return []
    return [pytest.mark.slow] if name == WHOLE else [pytest.mark.slow, pytest.mark.exhaustive]


def _cases() -> Iterator[object]:
    for name in RUNNABLE:
        for fault in CATALOGUE:
            if name in OBJECTIVES and CATALOGUE[fault].cause not in OF_WEIGHTS:
                continue
            yield pytest.param(name, fault, marks=_marks(name, fault), id=f"{fault}-on-{name}")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == WHOLE else (pytest.mark.slow,)) for n in RUNNABLE])
def test_a_clean_run_is_clean(name, cache):
    proof.assert_clean(proof.judged(_scenario(name), RIGHT, cache))


@pytest.mark.parametrize(("name", "fault"), list(_cases()))
def test_a_planted_fault_is_named_by_its_kind_or_cannot_be_seen(name, fault, cache):
    scenario, planted = _scenario(name, fault), CATALOGUE[fault]
    judgement = proof.judged(scenario, planted.plan, cache)
    if planted.hidden(scenario) is None:
        proof.assert_named(judgement, planted)
        known = kinds.of(fault, scenario)
        assert not known or {d.kind for d in judgement.diagnoses} <= known, proof.told(judgement)
    else:
        proof.assert_hidden(judgement, planted)

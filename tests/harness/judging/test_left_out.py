"""Experts that no token is routed to are left out of the optimizer's step, or moved by a gradient of zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.optimizer import register_optimizer_step_pre_hook

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import RIGHT
from harness.intent.intent import Group, Rule
from harness.judging.judge import Judgement, judge
from harness.judging.summary import summarize
from harness.judging.update_rule import update_rule
from harness.oracle.basis_cache import BasisCache
from harness.oracle.floor import Floor
from harness.oracle.update import TensorState
from harness.verdicts import questions, verdict
from scenarios import rows
from tests.faults import simulate

FEW = rows.fit(
    vary(scenarios.get("sft-ragged-moe"), ranks=1, micro_batch_size=1, accumulation=1, steps=4, experts=16),
    [2, 2, 3, 3, 2, 4],
)
"""A short row a step, whose tokens go to few of the experts."""
DECAYED = vary(FEW, weight_decay=0.1)
RULES = {
    "adamw": FEW,
    "decay": DECAYED,
    "resumed": vary(DECAYED, resume_after=2),
    "sgd": vary(DECAYED, kind="sgd", momentum=0.9, learning_rate=0.01),
    "adagrad": vary(DECAYED, kind="adagrad", learning_rate=0.01),
    "rmsprop": vary(DECAYED, kind="rmsprop", learning_rate=0.001),
}
Change = Callable[[int, torch.optim.Optimizer], None]
"""What is made of an optimizer before a step, from 0."""


@contextmanager
def changed(change: Change) -> Iterator[None]:
    steps = iter(range(100))

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        change(next(steps), optimizer)

    hook = register_optimizer_step_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()


def parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def zeros(_: int, optimizer: torch.optim.Optimizer) -> None:
    """As of experts that are stacked in one tensor."""
    for p in parameters(optimizer):
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad


def as_it_is(_: int, __: torch.optim.Optimizer) -> None:
    pass


def touched(optimizer: torch.optim.Optimizer) -> torch.nn.Parameter:
    """A tensor of an expert that has tokens, and has had some."""
    experts = [p for p in parameters(optimizer) if p.ndim == 2 and p in optimizer.state and min(p.shape) > 16]
    counts = {id(p): sum(q.shape == p.shape for q in experts) for p in experts}
    return next(p for p in experts if counts[id(p)] > 4 and p.grad is not None and bool(p.grad.any()))


def frozen(step: int, optimizer: torch.optim.Optimizer) -> None:
    if step == 2:
        touched(optimizer).grad = None


def miscounted(step: int, optimizer: torch.optim.Optimizer) -> None:
    if step == 2:
        optimizer.state[touched(optimizer)]["step"] -= 1


def forgotten(step: int, optimizer: torch.optim.Optimizer) -> None:
    """An expert without a token, of whose moments nothing is left."""
    if step == 2:
        p = next(p for p in parameters(optimizer) if p.grad is None and p in optimizer.state)
        for held in ("exp_avg", "exp_avg_sq"):
            optimizer.state[p][held].zero_()


def judged(scenario: Scenario, folder: Path, change: Change) -> Judgement:
    with changed(change):
        trace = simulate.run(scenario, RIGHT, folder)
    return judge(trace, BasisCache())


@pytest.mark.slow
@pytest.mark.parametrize("change", [as_it_is, zeros])
@pytest.mark.parametrize("rule", RULES)
def test_both_ways_are_right_and_one_is_told(rule: str, change: Change, tmp_path: Path) -> None:
    found = judged(RULES[rule], tmp_path, change)
    assert verdict.outcome(found.findings) == "pass", found.findings
    left_out = [step for step in found.steps if step.left_out]
    assert bool(left_out) == (change is as_it_is)
    assert found.open == ((questions.LEFT_OUT,) if left_out else ())
    assert all(".experts." in name for step in left_out for name in step.left_out)
    for step in found.steps:
        of = {tensor.name: tensor.off for tensor in summarize(step).tensors}
        assert all(of[name] == 0.0 for name in step.left_out)
        assert all(of[name] < 0.01 for name in step.update.behind)


@pytest.mark.slow
def test_a_count_is_behind_by_the_steps_that_were_left_out(tmp_path: Path) -> None:
    found = judged(DECAYED, tmp_path, as_it_is)
    before: dict[str, int] = {}
    for step in found.steps:
        assert {name: count for name, count in before.items() if count} == dict(step.update.behind)
        before = {name: before.get(name, 0) + (name in step.left_out) for name in step.recorded.states}
    assert any(before.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code"),
    [(frozen, "weights.residual"), (miscounted, "update.learning-rate"), (forgotten, "update.moments")],
)
def test_what_is_wrong_is_found_all_the_same(change: Change, code: str, tmp_path: Path) -> None:
    found = judged(DECAYED, tmp_path, change)
    assert min((f.step for f in found.findings if f.code == code), default=None) == 2, found.findings


@settings(deadline=None, max_examples=40)
@given(had=st.lists(st.booleans(), max_size=6), zeros=st.booleans(), seed=st.integers(0, 2**32))
def test_a_count_is_known_by_the_rate(had: list[bool], zeros: bool, seed: int) -> None:
    """Of a tensor that had a gradient in some steps, and has one now: torch counts those, and steps of zeros."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.nn.Parameter(torch.randn((30, 40), generator=generator))
    optimizer = torch.optim.AdamW([p], lr=1e-3, weight_decay=0.0)
    before = p.detach().clone()
    for some in (*had, True):
        before = p.detach().clone()
        given = torch.randn(p.shape, generator=generator)
        p.grad = given if some else torch.zeros_like(p) if zeros else None
        optimizer.step()
    held = optimizer.state[p]
    states = {"w": TensorState(*(t.detach().double() for t in (before, p, held["exp_avg"], held["exp_avg_sq"])))}
    noise = Floor(**{f.name: 1e-6 for f in fields(Floor)})
    counts = {"w": range(had.count(False) + 1)}
    found = update_rule(states, Rule((Group(("*",)),)), len(had), {"w": 1e-3}, noise, counts=counts)
    assert found.behind == ({} if zeros or all(had) else {"w": had.count(False)})
    assert found.told[0].learning_rate == pytest.approx(1e-3, rel=1e-3)

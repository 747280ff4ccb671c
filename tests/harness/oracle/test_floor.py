"""The noise floor: its draws differ, it is of the size of real arithmetic's noise, and what it does not touch."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adapters.contract import Compute, Model, Scenario, vary
from harness.intent.of_scenario import of_scenario
from harness.oracle import floor, forward
from harness.oracle.basis_cache import Bases, BasisCache, Kind
from harness.oracle.floor import DRAWN, State
from harness.oracle.step import RightStep, as_computed, right_step
from harness.traces.batch import Conversation, right_rows
from scenarios import bases, text, weights

MODEL = Model(vocab_size=64, hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=48)


def small(precision: Compute, seed: int = 0, tied: bool = False) -> Scenario:
    """2 ranks x 2 micro-batches x 1 row, one step."""
    words = text.vocabulary(MODEL.vocab_size)
    base = bases.compose((3, 5, 2, 4), 1, seed)
    return vary(
        base,
        model=replace(MODEL, tied_embeddings=tied),
        vocabulary=words,
        rows=text.conversations(words, [4, 3, 5, 2], [9, 5, 12, 4], seed),
        accumulation=2,
        compute=precision,
    )


def first_step(scenario: Scenario, kind: Kind = "tail") -> tuple[RightStep, State]:
    """What is right at the scenario's first weights, and the state before."""
    parameters = {n: torch.from_numpy(a) for n, a in weights.initial(scenario.model, scenario.seed).items()}
    rows = right_rows(scenario)
    fed = [
        conversation(rank, number, i, rows[i])
        for number in range(scenario.window.accumulation)
        for rank in range(scenario.window.ranks)
        for (i,) in scenario.sequence_rows(0, number, rank)
    ]
    zeros = {n: torch.zeros_like(p) for n, p in parameters.items()}
    right = right_step(of_scenario(scenario), scenario.model, 0, fed, parameters, Bases(kind, BasisCache()))
    return right, State(parameters, zeros, zeros)


def conversation(rank: int, micro_batch: int, row: int, rendered: text.Rendered) -> Conversation:
    ids, trained = rendered.ids, rendered.loss_mask
    return Conversation(rank, micro_batch, 0, row, ids, trained, trained, trained, None, tuple(0 for _ in ids))


def real_errors(right: RightStep, state: State) -> dict[str, float]:
    """Relative error of loss and gradient norm in torch's own bfloat16, which rounds to the nearest."""
    seen = as_computed(state.parameters, right.intent.precision)
    leaves = {n: p.bfloat16().requires_grad_() for n, p in seen.items()}
    total: Tensor | float = 0.0
    for c in right.conversations:
        losses = forward.losses(leaves, right.model, torch.tensor(c.ids))
        total = total + losses[torch.tensor(c.trained[1:])].sum() / right.targets
    gradients = torch.autograd.grad(total, list(leaves.values()))
    norm = float(torch.stack([g.float().norm() for g in gradients]).norm())
    return {"loss": float(total.detach()) / right.loss - 1, "norm": norm / right.norm - 1}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_draw_is_another_one(precision: Compute) -> None:
    """The first of three is the same; then the largest of three is larger, at least in some quantity."""
    step = first_step(small(precision))
    one, three = (floor.measure(*step, draws=draws) for draws in (1, 3))
    larger = {name for name in DRAWN if getattr(three, name) > getattr(one, name)}
    assert all(getattr(three, name) >= getattr(one, name) for name in DRAWN)
    assert larger


@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
def test_no_bf16_floor_is_small_by_luck(tied: bool) -> None:
    """Over many seeds, what is ordinary is allowed by the smallest of the tolerances, and no floor is far above it."""
    steps = [first_step(small("bf16", seed, tied)) for seed in range(16)]
    floors = [floor.measure(*step) for step in steps]
    errors = [real_errors(*step) for step in steps]
    for name in ("loss", "norm"):
        ordinary = statistics.fmean(error[name] ** 2 for error in errors) ** 0.5
        assert min(one.tolerance(name) for one in floors) > ordinary, name
        assert statistics.median(getattr(one, name) for one in floors) < 2.5 * ordinary, name


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_there_twice_leave_a_bf16_floor_as_it_is(seed: int) -> None:
    """They round alike, so that nothing of it averages out."""
    twice = small("bf16", seed)
    twice = vary(twice, rows=twice.data.rows[:2] * 2)
    once, again = (floor.measure(*first_step(s), draws=1) for s in (vary(twice, accumulation=1), twice))
    assert again.loss == pytest.approx(once.loss, rel=0.05)
    assert again.norm == pytest.approx(once.norm, rel=0.2)


def test_what_float32_computes_is_not_coarser_in_a_bf16_run() -> None:
    """Master weights, moments and update are in float32: their floors do not grow with the gradient's."""
    fine, coarse = (floor.measure(*first_step(small(precision))) for precision in ("fp32", "bf16"))
    for name in ("beta1", "beta2", "second", "learning_rate", "update"):
        assert getattr(coarse, name) < 3 * getattr(fine, name), name
    for name in DRAWN:
        assert getattr(coarse, name) > 100 * getattr(fine, name), name


def test_a_step_is_measured_alike_every_time() -> None:
    step = first_step(small("bf16"))
    assert floor.measure(*step) == floor.measure(*step)


def test_the_worst_of_several_steps() -> None:
    one = floor.measure(*first_step(small("bf16")))
    other = replace(one, loss=2 * one.loss, norm=one.norm / 2)
    assert floor.worst([one, other]) == replace(one, loss=2 * one.loss)


def test_loss_and_norm_are_told_as_finely_without_masters() -> None:
    """What is recovered from parameters and moments is known no better than the dtype that those are kept in."""
    right, state = first_step(vary(small("bf16"), masters="none"))
    with_masters, _ = first_step(small("bf16"))
    kept, finer = floor.measure(right, state, draws=1), floor.measure(with_masters, state, draws=1)
    assert kept.loss == finer.loss < 2.0**-7
    for name in ("learning_rate", "decay", "update", "second", "beta1", "beta2", "token"):
        assert getattr(kept, name) >= 2.0**-7

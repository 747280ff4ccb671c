"""The update rule recovered from steps of torch.optim.AdamW in float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.intent.intent import Group, Rule
from harness.oracle.floor import MARGIN
from harness.oracle.update import TensorState, recover, recover_eps


def rule_of(decay: float = 0.0, **given: float) -> Rule:
    return Rule((Group(("*",), decay),), **given)


def steps(rule: Rule, count: int, seed: int, shape: tuple[int, ...] = (40, 50), size: float = 1.0) -> TensorState:
    """A tensor around the last of `count` steps."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.nn.Parameter(torch.randn(shape, generator=generator) * 0.1)
    optimizer = torch.optim.AdamW(
        [p],
        lr=rule.learning_rate,
        betas=(rule.beta1, rule.beta2),
        eps=rule.eps,
        weight_decay=rule.groups[0].weight_decay,
    )
    before = p.detach().clone()
    for _ in range(count):
        before = p.detach().clone()
        p.grad = torch.randn(shape, generator=generator) * size
        optimizer.step()
    state = optimizer.state[p]
    return TensorState(before.double(), p.detach().double(), state["exp_avg"].double(), state["exp_avg_sq"].double())


@settings(deadline=None, max_examples=50)
@given(
    rate=st.floats(1e-5, 1e-2),
    decay=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    count=st.integers(2, 4),
    seed=st.integers(0, 2**32),
    shape=st.sampled_from([(40, 50), (48,), (128, 48)]),
)
def test_rate_and_decay_come_back_within_the_claimed_errors(
    rate: float, decay: float, count: int, seed: int, shape: tuple[int, ...]
) -> None:
    rule = rule_of(decay, learning_rate=rate)
    found = recover("w", steps(rule, count, seed, shape), rule, count)
    assert abs(found.learning_rate / rate - 1) <= MARGIN * found.rate_error + 1e-6
    # AdamW multiplies by 1 - lr wd in float32, whose neighbours below 1 are 2^-24 apart.
    assert abs(found.weight_decay - decay) <= MARGIN * found.decay_error + 2**-25 / rate
    assert found.rate_error < 1e-3
    assert found.tensor == "w"


@settings(deadline=None, max_examples=25)
@given(rate=st.floats(1e-5, 1e-2), seed=st.integers(0, 2**32))
def test_after_the_first_step_half_a_unit_is_the_error(rate: float, seed: int) -> None:
    """Adam's first update has one size for all elements, so all are rounded alike and nothing averages out."""
    state = steps(rule_of(learning_rate=rate), 1, seed)
    found = recover("w", state, rule_of(learning_rate=rate), 1)
    half = float(state.before.abs().max()) * torch.finfo(torch.float32).eps / 2
    assert abs(found.learning_rate / rate - 1) <= half / rate + 1e-6


def test_the_claimed_errors_are_not_idle() -> None:
    """A rate ten times smaller is ten times less certain, and decay is told from no decay."""
    coarse, fine = (recover("w", steps(rule_of(learning_rate=r), 2, 0), rule_of(), 2) for r in (1e-4, 1e-3))
    assert coarse.rate_error == pytest.approx(10 * fine.rate_error, rel=0.01)
    assert 0 < MARGIN * fine.rate_error < 1e-4
    assert 0 < MARGIN * fine.decay_error < 1e-2


def test_a_tensor_that_did_not_move_has_no_rate() -> None:
    state = steps(rule_of(), 1, 0)
    still = TensorState(state.before, state.before, state.first, state.second)
    found = recover("w", still, rule_of(), 1)
    assert (found.learning_rate, found.weight_decay, found.residual) == (0.0, 0.0, 0.0)


def test_an_update_by_another_rule_leaves_a_residual() -> None:
    rule = rule_of()
    state = steps(rule, 2, 0)
    assert recover("w", state, rule, 2).residual < 1e-4
    noise = torch.randn(state.after.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    moved = float((state.after - state.before).norm())
    off = TensorState(state.before, state.after + noise * moved / noise.norm(), state.first, state.second)
    assert recover("w", off, rule, 2).residual == pytest.approx(0.7, abs=0.05)


def test_another_step_count_is_another_rate() -> None:
    rule = rule_of()
    state = steps(rule, 1, 0)
    assert recover("w", state, rule, 1).learning_rate == pytest.approx(1e-3, rel=1e-5)
    # Without a full bias correction the rate seems to be that of the correction left out.
    ratio = (1 - 0.9**2) / (1 - 0.9) * ((1 - 0.999) / (1 - 0.999**2)) ** 0.5
    assert recover("w", state, rule, 2).learning_rate == pytest.approx(1e-3 * ratio, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(eps=st.floats(1e-6, 1e-2), count=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_eps_comes_back(eps: float, count: int, seed: int) -> None:
    # Gradients of the size of eps: otherwise it does not show.
    right = rule_of(eps=eps)
    states = {f"w{i}": steps(right, count, seed + i, (40, 50), size=3 * eps) for i in range(2)}
    assert recover_eps(states, rule_of(), dict.fromkeys(states, count)) == pytest.approx(eps, rel=0.01)


def test_no_eps_is_told_where_none_explains() -> None:
    """An update that grows with the second moment would need a negative eps."""
    state = steps(rule_of(), 3, 0)
    grown = TensorState(
        state.before, state.before - 1e-3 * state.first * state.second.sqrt(), state.first, state.second
    )
    assert recover_eps({"w": grown}, rule_of(), {"w": 3}) is None


def test_an_update_is_lost_only_where_there_is_one() -> None:
    """In bfloat16 a small step moves nothing; a rate of 0 moves nothing either, and so does what is never trained."""
    state = steps(rule_of(learning_rate=1e-6), 1, 0)
    still = replace(state, before=state.before.sign(), after=state.before.sign(), unit=2.0**-7)
    untrained = replace(still, first=0 * still.first, second=0 * still.second)
    rule = rule_of(learning_rate=1e-6)
    assert recover("w", still, rule, 1).rate_error == torch.inf
    assert recover("w", still, rule, 1, rate=0.0).rate_error == 0.0
    assert recover("w", untrained, rule, 1).rate_error == 0.0


@settings(deadline=None, max_examples=25)
@given(momentum=st.floats(0.1, 0.9), decay=st.floats(0.01, 0.3), count=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_a_momentum_that_is_all_decay_tells_no_rate(momentum: float, decay: float, count: int, seed: int) -> None:
    """As of an expert that no token is routed to: it moves along itself."""
    p = torch.nn.Parameter(torch.randn((30, 40), generator=torch.Generator().manual_seed(seed)))
    optimizer = torch.optim.SGD([p], lr=0.01, momentum=momentum, weight_decay=decay)
    before = p.detach().clone()
    for _ in range(count):
        before = p.detach().clone()
        p.grad = torch.zeros_like(p)
        optimizer.step()
    first = optimizer.state[p]["momentum_buffer"].double()
    state = TensorState(before.double(), p.detach().double(), first, torch.zeros_like(first))
    rule = rule_of(decay, name="sgd", momentum=momentum, learning_rate=0.01)
    found = recover("w", state, rule, count)
    assert found.rate_error == found.decay_error == torch.inf
    other = replace(state, first=first + 1e-3 * torch.randn(first.shape).double())
    assert recover("w", other, rule, count).rate_error < torch.inf

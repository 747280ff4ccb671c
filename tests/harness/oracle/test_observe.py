"""What Adam's moments tell, on steps that torch's own AdamW took."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.contract import Model
from harness.oracle.basis import Segment
from harness.oracle.floor import MARGIN
from harness.oracle.full_basis import build
from harness.oracle.observe import UNSURE, Betas, Moments, betas, gradient, observe, second_moment_error, summed
from harness.oracle.terms import none
from scenarios import weights
from tests.fuzzing import examples

SIZE = 1000
# Rates of decay as optimizers are configured: a rate near 1 forgets too slowly for one step to tell it.
rates = st.floats(0.1, 0.99)
seconds = st.floats(0.5, 0.9995)


def draw(seed: int, count: int) -> list[Tensor]:
    """Gradients of which no two are alike, over six orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    size = 10 ** (torch.rand(SIZE, generator=generator) * 6 - 6)
    return [torch.randn(SIZE, generator=generator) * size for _ in range(count)]


def adamw(gradients: list[Tensor], beta1: float, beta2: float) -> Moments:
    """Moments around the last of these steps, in the float32 of torch.optim.AdamW, as a trace has them."""
    p = torch.nn.Parameter(torch.zeros(SIZE))
    rule = torch.optim.AdamW([p], lr=1e-3, betas=(beta1, beta2))
    states = [(torch.zeros(SIZE), torch.zeros(SIZE))]
    for g in gradients:
        p.grad = g.clone()
        rule.step()
        states.append((rule.state[p]["exp_avg"].clone(), rule.state[p]["exp_avg_sq"].clone()))
    (m0, v0), (m1, v1) = states[-2:]
    return Moments(m0.double(), m1.double(), v0.double(), v1.double())


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), beta1=rates, beta2=seconds, steps=st.integers(1, 3))
def test_the_gradient_comes_back_out_of_the_moments(seed: int, beta1: float, beta2: float, steps: int) -> None:
    gradients = draw(seed, steps)
    moments = adamw(gradients, beta1, beta2)
    error = gradient(moments, beta1) - gradients[-1].double()
    # The moments are rounded to float32 after the step, and what is lost is divided by 1 - beta1.
    assert error.norm() <= 4e-7 / (1 - beta1) * max(moments.first.norm(), moments.first_before.norm())
    assert second_moment_error(moments, beta1, beta2) < 1e-5 / (1 - beta1)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), beta1=st.floats(0.1, 0.95), beta2=seconds)
def test_betas_come_back_from_two_steps(seed: int, beta1: float, beta2: float) -> None:
    found = betas(adamw(draw(seed, 2), beta1, beta2))
    assert found.beta1 == pytest.approx(beta1, abs=1e-5)
    assert found.beta2 == pytest.approx(beta2, abs=1e-5)
    assert abs(found.beta1 - beta1) <= MARGIN * found.beta1_error
    assert abs(found.beta2 - beta2) <= MARGIN * found.beta2_error


@settings(deadline=None, max_examples=examples(50))
@given(seed=st.integers(0, 2**32), beta1=rates, beta2=seconds, longer=st.floats(-3.0, 3.0), steps=st.integers(1, 3))
def test_moments_along_the_gradient_tell_no_betas(
    seed: int, beta1: float, beta2: float, longer: float, steps: int
) -> None:
    first = draw(seed, 1)[0]
    assert betas(adamw([*[first] * steps, longer * first], beta1, beta2)) == Betas(None, None)


@settings(deadline=None, max_examples=examples(50))
@given(seed=st.integers(0, 2**32), beta1=st.floats(0.1, 0.95), beta2=seconds, beside=st.floats(-9.0, 0.0))
def test_betas_that_are_told_are_within_their_error(seed: int, beta1: float, beta2: float, beside: float) -> None:
    """Whatever the second gradient has beside the first one: next to nothing, or as much again."""
    first, other = draw(seed, 2)
    found = betas(adamw([first, first + 10**beside * other], beta1, beta2))
    for name, right in (("beta1", beta1), ("beta2", beta2)):
        told, error = getattr(found, name), getattr(found, f"{name}_error")
        assert error <= UNSURE
        assert told is None or abs(told - right) <= MARGIN * error
    if beside > -1.0:
        assert None not in (found.beta1, found.beta2)


def test_the_first_step_does_not_tell() -> None:
    assert betas(adamw(draw(0, 1), 0.9, 0.999)) == Betas(None, None)


def test_nothing_is_told_if_the_moments_are_not_of_one_gradient() -> None:
    moments = adamw(draw(0, 2), 0.9, 0.999)
    assert betas(moments, allowed=1e-5) != Betas(None, None)
    other = replace(moments, second=moments.second + torch.rand(SIZE, dtype=torch.float64) * moments.second.mean())
    assert betas(other, allowed=1e-5) == Betas(None, None)
    assert second_moment_error(other, 0.9, 0.999) > 1e-3
    negative = replace(moments, second=-moments.second, second_before=-moments.second_before)
    assert betas(negative, allowed=1e-5) == Betas(None, None)


def test_all_zero_moments_tell_nothing_and_raise_nothing() -> None:
    zero = torch.zeros(SIZE, dtype=torch.float64)
    assert betas(Moments(zero, zero, zero, zero)) == Betas(None, None)
    assert second_moment_error(Moments(zero, zero, zero, zero), 0.9, 0.999) == 0.0


def test_a_step_gives_its_tokens_weights_back() -> None:
    model = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
    values = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    basis = build(values, model, [Segment((3, 9, 4, 17, 1)), Segment((3, 8, 5))])
    right = torch.tensor([0.25, 0.0, 0.5, 0.25, 1.0, 0.0], dtype=torch.float64)
    consumed = right @ basis.matrix
    before = torch.randn(len(consumed), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen = observe(none(basis), Moments(before, 0.9 * before + 0.1 * consumed, before, before), 0.9)
    assert (seen.weights - right).abs().max() < 1e-9
    assert seen.residual < 1e-9
    assert seen.norm == pytest.approx(float(consumed.norm()))
    foreign = torch.randn(len(consumed), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    foreign -= basis.solve(foreign)[0] @ basis.matrix
    foreign *= consumed.norm() / foreign.norm()
    leaked = observe(none(basis), Moments(before, 0.9 * before + 0.1 * (consumed + foreign), before, before), 0.9)
    assert leaked.residual == pytest.approx(0.5**0.5, rel=1e-6)
    zero = torch.zeros_like(consumed)
    assert observe(none(basis), Moments(zero, zero, zero, zero), 0.9).residual == 0.0


def sgd(gradients: list[Tensor], momentum: float, decay: float) -> tuple[Moments, Tensor]:
    """Momentum around the last of these steps of torch.optim.SGD; and the parameters before it."""
    size = len(gradients[0])
    p = torch.nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(7)))
    rule = torch.optim.SGD([p], lr=1e-3, momentum=momentum, weight_decay=decay)
    held, before = [torch.zeros(size)], p.detach().clone()
    for g in gradients:
        p.grad, before = g.clone(), p.detach().clone()
        rule.step()
        held.append(rule.state[p]["momentum_buffer"].clone())
    zero = torch.zeros(size, dtype=torch.float64)
    moments = Moments(held[-2].double(), held[-1].double(), zero, zero, summed=True, decay=decay * before.double())
    return moments, before


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), momentum=st.floats(0.1, 0.99), decay=st.sampled_from([0.0, 0.01, 0.1]))
def test_of_momentum_the_gradient_and_its_shares_come_back(seed: int, momentum: float, decay: float) -> None:
    model = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
    values = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    basis = build(values, model, [Segment((3, 9, 4, 17, 1)), Segment((3, 8, 5))])
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(6, dtype=torch.float64, generator=generator)
    consumed = right @ basis.matrix
    earlier = torch.randn(len(consumed), generator=generator)
    moments, _ = sgd([earlier, consumed.float()], momentum, decay)
    error = gradient(moments, momentum) - consumed
    assert error.norm() <= 1e-6 * max(moments.first.norm(), moments.first_before.norm())
    found = summed(none(basis), moments, 1e-7 * float(consumed.norm()))
    assert found.beta1 == pytest.approx(momentum, abs=1e-5)
    assert found.decay is None if not decay else found.decay == pytest.approx(1.0, abs=1e-4)
    assert second_moment_error(moments, momentum, 0.999) == 0.0


@settings(deadline=None, max_examples=examples(25))
@given(seed=st.integers(0, 2**32), momentum=st.floats(0.1, 0.99), steps=st.integers(1, 3), apart=st.booleans())
def test_the_same_gradient_again_tells_no_momentum(seed: int, momentum: float, steps: int, apart: bool) -> None:
    """What its tokens do not explain of it is noise, the same each time or not, and so is all that momentum shows."""
    model = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
    values = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    basis = build(values, model, [Segment((3, 9, 4, 17, 1)), Segment((3, 8, 5))])
    generator = torch.Generator().manual_seed(seed)
    consumed = torch.rand(6, dtype=torch.float64, generator=generator) @ basis.matrix
    noise = [1e-6 * torch.randn(len(consumed), dtype=torch.float64, generator=generator) for _ in range(steps + 1)]
    gradients = [(consumed + (each if apart else noise[0])).float() for each in noise]
    moments, _ = sgd(gradients, momentum, 0.0)
    assert summed(none(basis), moments, 1e-6 * len(consumed) ** 0.5) == Betas(None, None)

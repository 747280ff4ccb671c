"""Corrections: their bounds, and the law that the whole ratio of a sequence makes the gradient unbiased."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.policy import corrections
from harness.policy.corrections import CORRECTIONS, NONE
from harness.policy.training import objective

TOKENS, LENGTH = 3, 3
EVERY = torch.tensor(list(itertools.product(range(TOKENS), repeat=LENGTH)))
"""All sequences of a tiny vocabulary."""
LOGS = st.lists(st.lists(st.floats(-30, 30), min_size=LENGTH, max_size=LENGTH), min_size=1, max_size=5).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
SEEDS = st.integers(0, 2**31)


def parameters(seed: int) -> Tensor:
    """Of a policy whose token depends on the one before it: logits [before, token], the first row of the begin."""
    return torch.randn(TOKENS + 1, TOKENS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logprobs(of: Tensor) -> Tensor:
    """Of each token of every sequence."""
    before = torch.cat([torch.full((len(EVERY), 1), TOKENS), EVERY[:, :-1]], 1)
    return of.log_softmax(-1)[before, EVERY]


def gradient(p: Tensor, q: Tensor, rewards: Tensor, weights: corrections.Weights) -> Tensor:
    """Expected over what q draws, of what one step of training adds up."""
    own = p.clone().requires_grad_()
    logs = logprobs(p) - logprobs(q)
    chance = logprobs(q).sum(1).exp()
    loss = objective(logprobs(own), rewards * chance, weights(logs)) * EVERY.numel()
    (found,) = torch.autograd.grad(loss, own)
    return -found


def right(p: Tensor, rewards: Tensor) -> Tensor:
    """The gradient of the expected reward."""
    own = p.clone().requires_grad_()
    (found,) = torch.autograd.grad((logprobs(own).sum(1).exp() * rewards).sum(), own)
    return found


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A policy, a sampler and rewards."""
    rewards = torch.rand(len(EVERY), generator=torch.Generator().manual_seed(seed + 2), dtype=torch.float64)
    return parameters(seed), parameters(seed + 1), rewards


@given(SEEDS)
def test_the_ratio_of_the_sequence_makes_the_expected_gradient_that_of_the_reward(seed: int) -> None:
    p, q, rewards = drawn(seed)
    torch.testing.assert_close(gradient(p, q, rewards, corrections.of_sequences), right(p, rewards))


@given(SEEDS)
def test_nothing_need_be_corrected_where_both_are_the_same(seed: int) -> None:
    p, _, rewards = drawn(seed)
    for correction in CORRECTIONS.values():
        torch.testing.assert_close(gradient(p, p, rewards, correction.weights), right(p, rewards))


def test_neither_ratios_of_tokens_nor_none_are_unbiased() -> None:
    p, q, rewards = drawn(0)
    for weights in (corrections.ratios, torch.ones_like):
        assert (gradient(p, q, rewards, weights) - right(p, rewards)).norm() > 0.1 * right(p, rewards).norm()


@given(SEEDS)
@settings(max_examples=20)
def test_the_gradient_of_a_step_is_that_of_finite_differences(seed: int) -> None:
    """Weights are constants of the step, though they are made of the policy."""
    p, q, rewards = drawn(seed)
    for correction in CORRECTIONS.values():
        weights = correction.weights(logprobs(p) - logprobs(q))
        own = p.clone().requires_grad_()
        (found,) = torch.autograd.grad(objective(logprobs(own), rewards, weights), own)
        moved = torch.zeros_like(p)
        for place in itertools.product(range(TOKENS + 1), range(TOKENS)):
            step = torch.zeros_like(p)
            step[place] = 1e-5
            ahead, behind = (objective(logprobs(each), rewards, weights) for each in (p + step, p - step))
            moved[place] = (ahead - behind) / 2e-5
        torch.testing.assert_close(found, moved, rtol=1e-6, atol=1e-9)


@given(LOGS)
def test_bounds(logs: Tensor) -> None:
    made = {name: correction.weights(logs) for name, correction in CORRECTIONS.items()}
    assert all(weights.shape == logs.shape and weights.isfinite().all() for weights in made.values())
    assert (made[NONE] == 1).all()
    assert made["token TIS"].max() <= corrections.UPPER
    assert made["sequence TIS"].max() <= corrections.UPPER
    assert made["sequence mask"].max() <= corrections.MOST
    low, high = corrections.BAND
    token = made["token mask"]
    assert ((token == 0) | ((token >= low) & (token <= high))).all()
    for name in ("sequence TIS", "sequence mask"):
        assert (made[name] == made[name][:, :1]).all()


def test_by_hand() -> None:
    logs = torch.tensor([[math.log(0.25), math.log(4.0)], [math.log(2.5), math.log(2.0)]], dtype=torch.float64)
    wanted = {
        "none": [[1, 1], [1, 1]],
        "token TIS": [[0.25, 2], [2, 2]],
        "sequence TIS": [[1, 1], [2, 2]],
        "token mask": [[0, 4], [2.5, 2]],
        "sequence mask": [[1, 1], [0, 0]],
    }
    for name, weights in wanted.items():
        assert CORRECTIONS[name].weights(logs).flatten().tolist() == pytest.approx(
            [each for row in weights for each in row]
        )

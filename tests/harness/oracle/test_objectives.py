"""Right weights of preferences and rewards: against finite differences, and by the formulas of the papers by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.intent.objective import Policy, Preferences
from harness.oracle import objectives
from harness.oracle.objectives import LogProbs, Rows

STEP = 1e-6
NEAR = 1e-4
"""Of the borders of clipping: no derivative exists on one."""


def logps(count: int, seed: int, spread: float = 0.2) -> LogProbs:
    """Of so many tokens, those of the three models near each other."""
    generator = torch.Generator().manual_seed(seed)
    now = -torch.rand(count, generator=generator, dtype=torch.float64) * 3 - 0.1
    others = (now + spread * torch.randn(count, generator=generator, dtype=torch.float64) for _ in range(2))
    return LogProbs(now, *others)


def rows(lengths: list[int], over: str = "token", untrained: int = 0) -> Rows:
    """Conversations of so many tokens, the first of them untrained; each is the scenario's row of its number."""
    owner = torch.tensor([c for c, length in enumerate(lengths) for _ in range(length)])
    places = torch.tensor([t for length in lengths for t in range(length)])
    part, parts = (owner, len(lengths)) if over == "row" else (torch.zeros_like(owner), 1)
    return Rows(owner, tuple(range(len(lengths))), places >= untrained, part, parts)


def differences(objective: Preferences | Policy, given: LogProbs, told: Rows) -> Tensor:
    """The weights by central differences."""

    def loss(now: Tensor) -> float:
        return float(objectives.loss(objective, replace(given, now=now), told))

    steps = torch.eye(len(given.now), dtype=torch.float64) * STEP
    return torch.tensor([(loss(given.now - step) - loss(given.now + step)) / (2 * STEP) for step in steps]).double()


LENGTHS = st.lists(st.integers(1, 5), min_size=4, max_size=4)


def preferences(form: str, smoothing: float, **rest: Any) -> Preferences:
    """Of numbers that may not go together, some that do."""
    return Preferences(form=form, smoothing=smoothing if form.startswith("sigmoid") else 0.0, **rest)


def policy(ratio: str, demonstrations: int, sft_coefficient: float, **rest: Any) -> Policy:
    """Of numbers that may not go together, some that do."""
    shown = demonstrations if ratio == "token" else 0
    return Policy(ratio=ratio, demonstrations=shown, sft_coefficient=sft_coefficient if shown else 0.0, **rest)


PREFERENCES = st.builds(
    preferences,
    beta=st.floats(0.05, 2.0),
    form=st.sampled_from(["sigmoid", "sigmoid-mean", "ipo", "ipo-mean"]),
    smoothing=st.floats(0.0, 0.4),
    reference=st.booleans(),
    sft_coefficient=st.floats(0.0, 2.0),
)
POLICIES = st.builds(
    policy,
    rewards=st.tuples(*[st.integers(-8, 8).map(lambda eighths: eighths / 8)] * 4),
    group_size=st.sampled_from([2, 4]),
    advantage=st.sampled_from(["group", "group-std", "given"]),
    over=st.sampled_from(["token", "row"]),
    constant=st.sampled_from([None, 7]),
    ratio=st.sampled_from(["token", "sequence"]),
    clip_low=st.floats(0.05, 0.3),
    clip_high=st.floats(0.05, 0.4),
    masked=st.sampled_from([(), (1,), (0, 3)]),
    demonstrations=st.sampled_from([0, 0, 1]),
    shaping=st.floats(0.01, 1.0),
    sft_coefficient=st.floats(0.0, 1.0),
    beta=st.floats(0.0, 0.5),
    divergence=st.sampled_from(["k1", "k2", "k3"]),
)


@settings(max_examples=60)
@given(PREFERENCES, LENGTHS, st.integers(0, 1000))
def test_weights_of_preferences_are_the_slopes_of_their_loss(objective, lengths, seed):
    given, told = logps(sum(lengths), seed), rows(lengths)
    found = objectives.weights(objective, given, told)
    torch.testing.assert_close(found, differences(objective, given, told), rtol=1e-6, atol=1e-7)


@settings(max_examples=60)
@given(PREFERENCES, st.lists(st.integers(0, 2), min_size=1, max_size=5), LENGTHS, st.integers(0, 1000))
def test_every_pair_of_a_step_counts_once_each_time_that_it_is_in_it(objective, pairs, lengths, seed):
    """The loss of a step is the mean over its pairs, so that a token weighs what it does in its pair alone, over their
    number."""
    each = [lengths[:2], lengths[2:], [2, 3]]
    told = rows([length for pair in pairs for length in each[pair]])
    told = replace(told, number=tuple(row for pair in pairs for row in (2 * pair, 2 * pair + 1)))
    given = logps(len(told.owner), seed)
    found = objectives.weights(objective, given, told)
    for place, pair in enumerate(pairs):
        own = told.owner // 2 == place
        alone = LogProbs(given.now[own], given.sampled[own], given.reference[own])
        expected = objectives.weights(objective, alone, rows(each[pair])) / len(pairs)
        torch.testing.assert_close(found[own], expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=60)
@given(POLICIES, LENGTHS, st.integers(0, 1000))
def test_weights_of_rewards_are_the_slopes_of_their_loss_through_ratio_and_clip(policy, lengths, seed):
    given, told = logps(sum(lengths), seed), rows(lengths, policy.over)
    logs = given.now - given.sampled
    means = torch.stack([logs[told.owner == c].mean() for c in range(len(lengths))])
    ratios = (means if policy.ratio == "sequence" else logs).exp()
    for border in (1 - policy.clip_low, 1 + policy.clip_high):
        assume(float((ratios - border).abs().min()) > NEAR)
    found = objectives.weights(policy, given, told)
    torch.testing.assert_close(found, differences(policy, given, told), rtol=1e-6, atol=1e-7)


@settings(max_examples=30)
@given(POLICIES, LENGTHS, st.integers(0, 1000))
def test_advantages_of_a_group_add_up_to_nothing_whatever_is_added_to_its_rewards(policy, lengths, seed):
    assume(policy.advantage != "given")
    made = objectives.advantages(policy).view(-1, policy.group_size)
    torch.testing.assert_close(made.sum(1), torch.zeros(len(made)).double(), rtol=0, atol=1e-9)
    if policy.advantage == "group":
        moved = replace(policy, rewards=tuple(r + 3.0 for r in policy.rewards))
        torch.testing.assert_close(objectives.advantages(moved), made.flatten(), rtol=0, atol=1e-12)


@given(st.floats(-1e6, 1e6), st.integers(2, 5), st.sampled_from(["group", "group-std"]))
def test_a_group_that_is_alike_in_rewards_has_no_advantage_at_all(reward, each, advantage):
    policy = Policy(rewards=(reward,) * each, group_size=each, advantage=advantage)
    assert not objectives.advantages(policy).any()


def test_a_group_without_spread_has_no_advantage_over_a_deviation_of_rounding():
    policy = Policy(rewards=(0.1,) * 3 + (0.1, 0.1, 0.7), group_size=3, advantage="group-std")
    made = objectives.advantages(policy)
    assert made[:3].tolist() == [0.0, 0.0, 0.0]
    spread = math.sqrt(0.12)  # of 0.1, 0.1, 0.7 with ddof 1
    torch.testing.assert_close(made[3:], torch.tensor([-0.2, -0.2, 0.4]).double() / spread)


def test_dpo_as_the_paper_has_its_gradient():
    """Rafailov and others 2023, behind equation 7: beta sigmoid(-beta D) for the chosen, less for the rejected."""
    given, told = logps(5, 1), rows([2, 3])
    ratio = given.now - given.reference
    difference = float(ratio[:2].sum() - ratio[2:].sum())
    each = 0.3 / (1 + math.exp(0.3 * difference))
    found = objectives.weights(Preferences(beta=0.3), given, told)
    torch.testing.assert_close(found, torch.tensor([each, each, -each, -each, -each]).double())


@pytest.mark.parametrize(("over", "constant"), [("token", None), ("row", None), ("token", 10)])
def test_a_policy_at_its_own_samples_has_its_advantages_for_weights(over, constant):
    policy = Policy(rewards=(1.0, 0.0), group_size=2, over=over, constant=constant)
    given, told = logps(5, 2), rows([2, 3], over)
    found = objectives.weights(policy, replace(given, sampled=given.now), told)
    divisors = {"token": [5, 5], "row": [4, 6]}[over] if constant is None else [20, 20]
    expected = [0.5 / divisors[0]] * 2 + [-0.5 / divisors[1]] * 3
    torch.testing.assert_close(found, torch.tensor(expected).double())


@pytest.mark.parametrize(("kind", "slope"), [("k1", lambda d: -1.0), ("k2", lambda d: d), ("k3", math.expm1)])
def test_the_slope_of_each_estimator_of_divergence(kind, slope):
    """With d = log p_ref - log p: -1, d, and exp(d) - 1."""
    policy = Policy(rewards=(0.0,), advantage="given", beta=0.5, divergence=kind)
    given, told = logps(3, 3), rows([3])
    expected = [0.5 / 3 * slope(float(d)) for d in given.reference - given.now]
    torch.testing.assert_close(objectives.weights(policy, given, told), torch.tensor(expected).double())


def test_a_row_that_is_masked_weighs_nothing_and_counts_as_a_row_but_not_its_tokens():
    policy = Policy(rewards=(1.0, -1.0), advantage="given", masked=(1,))
    given = logps(5, 4)
    own = replace(given, sampled=given.now)
    by_token = objectives.weights(policy, own, rows([2, 3]))
    by_row = objectives.weights(replace(policy, over="row"), own, rows([2, 3], "row"))
    assert by_token.tolist() == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert by_row.tolist() == [0.25, 0.25, 0.0, 0.0, 0.0]


def test_tokens_that_are_no_row_have_no_reward_and_no_partner():
    told = replace(rows([2, 3]), number=(None, 1))
    assert not objectives.weights(Policy(rewards=(1.0, 0.0), group_size=2), logps(5, 5), told)[:2].any()
    assert not objectives.weights(Preferences(beta=0.1), logps(5, 5), told).any()


def test_a_demonstration_has_the_slope_of_its_shaped_probability_and_its_own_loss():
    """Of p / (p + s) by log p: p s / (p + s)^2; and the mean loss of the one demonstration, times its coefficient."""
    policy = Policy(rewards=(2.0, 0.0), group_size=2, demonstrations=1, shaping=0.1, sft_coefficient=0.5)
    given, told = logps(5, 6), rows([2, 3])
    found = objectives.weights(policy, replace(given, sampled=given.now), told)
    likely = given.now[:2].exp()
    shown = likely * 0.1 / (likely + 0.1).square() / 5 + 0.5 / 2
    torch.testing.assert_close(found, torch.cat([shown, torch.full((3,), -1 / 5).double()]))

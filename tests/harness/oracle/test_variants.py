"""Wrong objectives: the weights by each name are the slopes of what the reference trains that is planned to be so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters import policy
from adapters.contract import Scenario, vary
from adapters.plan import RIGHT, Plan
from adapters.policy import Batch
from harness.intent.of_scenario import of_scenario
from harness.oracle import aggregation, variants
from harness.oracle.aggregation import Places
from harness.oracle.objectives import LogProbs

ROWS, LENGTH = 6, 3
ELSEWHERE = {"right", "reference-drifts", "truncated-counted"}
"""What `policy.loss` has no part in."""
PLANNED = sorted(set(get_args(get_type_hints(Plan)["objective"])) - ELSEWHERE)


def small(name: str, **changes: Any) -> Scenario:
    """All rows in one micro-batch."""
    base = scenarios.get(name)
    whole = {"micro_batch_size": ROWS, "accumulation": 1, "ranks": 1, "steps": 1, "epochs": 1}
    return vary(base, rows=base.data.rows[:ROWS], **whole, **changes)


PAIRS = st.builds(
    lambda smoothing, **rest: small(
        "dpo-ragged", preference_smoothing=smoothing if rest["preference"].startswith("sigmoid") else 0.0, **rest
    ),
    smoothing=st.sampled_from([0.0, 0.2]),
    preference=st.sampled_from(["sigmoid", "sigmoid-mean", "ipo", "ipo-mean"]),
    reference=st.sampled_from(["initial", "none"]),
    beta=st.floats(0.05, 2.0),
    sft_coefficient=st.sampled_from([0.0, 0.5]),
)
GROUPS = st.builds(
    lambda demonstrations, sft_coefficient, ratio, **rest: small(
        "grpo-token",
        demonstrations=demonstrations if ratio == "token" else 0,
        sft_coefficient=sft_coefficient if demonstrations and ratio == "token" else 0.0,
        ratio=ratio,
        **rest,
    ),
    group_size=st.sampled_from([2, 3]),
    rewards=st.tuples(*[st.sampled_from([0.1, 0.7])] * ROWS),  # three alike have a deviation of rounding
    advantage=st.sampled_from(["group", "group-std"]),
    normaliser=st.sampled_from(["token", "row", "constant"]),
    normaliser_constant=st.just(7),
    ratio=st.sampled_from(["token", "sequence"]),
    clip_low=st.floats(0.05, 0.3),
    clip_high=st.floats(0.05, 0.4),
    demonstrations=st.sampled_from([0, 1]),
    sft_coefficient=st.sampled_from([0.0, 0.5]),
    beta=st.sampled_from([0.0, 0.1]),
    divergence=st.sampled_from(["k1", "k2", "k3"]),
)


def batch(scenario: Scenario, seed: int) -> Batch:
    """Rows of one to three tokens."""
    generator = torch.Generator().manual_seed(seed)
    now = -torch.rand(ROWS, LENGTH, generator=generator, dtype=torch.float64) * 3 - 0.1
    others = [now + 0.3 * torch.randn(now.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    lengths = torch.randint(1, LENGTH + 1, (ROWS, 1), generator=generator)
    mask = (torch.arange(LENGTH) < lengths).double()
    held = others[0] * scenario.objective.refers
    return Batch(now.requires_grad_(), held, others[1], mask, tuple(range(ROWS)))


def trained(scenario: Scenario, made: Batch, how: Plan) -> torch.Tensor:
    """The weights by which the reference trains: float64 [rows, length]."""
    per_row = made.mask.sum(1, keepdim=True) * ROWS
    shares = (
        made.mask / {"token": made.mask.sum(), "row": per_row, "constant": 7.0 * ROWS}[scenario.objective.normaliser]
    )
    (slope,) = torch.autograd.grad(policy.loss(made, scenario, shares, 0, how), made.logps)
    return -slope


def places(made: Batch) -> Places:
    owner = torch.arange(ROWS).repeat_interleave(LENGTH)
    of_one = torch.zeros_like(owner)
    logps = LogProbs(*(each.detach().flatten() for each in (made.logps, made.sampled, made.reference)))
    return Places(of_one, of_one, owner, 1, 1, ROWS, None, made.rows, logps)


@settings(max_examples=100)
@given(st.one_of(PAIRS, GROUPS), st.integers(0, 1000))
def test_weights_by_each_name_are_those_that_the_reference_trains_by(scenario, seed):
    scenario.check()
    wanted, made = of_scenario(scenario).aggregation, batch(scenario, seed)
    at, mask = places(made), made.mask.bool().flatten()
    found = {"right": lambda *told: aggregation.weights(*told, wanted)}
    found |= variants.of_step(SimpleNamespace(intent=SimpleNamespace(aggregation=wanted)))
    for name in found.keys() & {"right", *PLANNED}:
        expected = trained(scenario, made, replace(RIGHT, objective=name)).flatten()
        assert torch.allclose(found[name](at, mask), expected, rtol=1e-9, atol=1e-12), name


def test_every_wrong_objective_of_the_reference_has_a_name():
    seen = set()
    for name in ("dpo-smoothed", "dpo-ipo", "dpo-with-sft", "grpo-divergence", "grpo-mixed"):
        seen |= variants.of_step(SimpleNamespace(intent=of_scenario(scenarios.get(name)))).keys()
    assert seen >= set(PLANNED)

"""Objectives of the reference: what it adds of demonstrations, however their rows are dealt to micro-batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from adapters import policy
from adapters.contract import Scenario, vary
from adapters.faults import RIGHT
from adapters.policy import Batch
from harness.oracle.basis_cache import BasisCache
from tests.faults import proof

MIXED = scenarios.get("grpo-mixed")


def dealt(order: str, size: int, accumulation: int, ranks: int, rows: int) -> Scenario:
    """Two steps of the first rows, a coefficient of one."""
    first = {"rows": MIXED.data.rows[:rows], "rewards": MIXED.objective.rewards[:rows]}
    changed = vary(MIXED, **first, order=order, epochs=8, sft_coefficient=1.0)
    return vary(changed, micro_batch_size=size, accumulation=accumulation, ranks=ranks, steps=2)


@given(
    st.sampled_from(["given", "shuffled"]), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 99)
)
def test_the_loss_of_demonstrations_is_their_mean_over_a_step(order, size, accumulation, ranks, seed):
    scenario = dealt(order, size, accumulation, ranks, 16)
    losses = torch.rand(16, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for step in range(scenario.window.steps):
        total, own = 0.0, []
        for number in range(scenario.micro_batches(step)):
            for rank in range(ranks):
                rows = policy.rows_of(scenario, step, number, rank)
                logps = -losses[list(rows)]
                batch = Batch(logps, torch.zeros_like(logps), logps, torch.ones_like(logps), rows)
                total += float(policy.loss(batch, scenario, torch.zeros_like(logps), step, RIGHT))
                own += [float(losses[row].mean()) for row in rows if row % 4 == 0]
        assert total == pytest.approx(sum(own) / len(own) if own else 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", [vary(MIXED, order="shuffled"), dealt("given", 1, 1, 2, 8)], ids=["drawn", "without"]
)
def test_a_run_is_clean_where_steps_have_other_numbers_of_demonstrations(scenario):
    proof.assert_clean(proof.judged(scenario, RIGHT, BasisCache()))

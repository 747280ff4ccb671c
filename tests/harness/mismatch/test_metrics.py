"""Metrics by frameworks' names: against their formulas written out, and laws that hold whatever the numbers are.

tests/frameworks/test_mismatch.py holds them against verl's own function."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.mismatch import metrics

OLD = torch.tensor([[-1.0, -2.0], [-0.5, -3.0]], dtype=torch.float64)
ROLLOUT = torch.tensor([[-1.1, -1.7], [-0.5, -3.4]], dtype=torch.float64)
APART = (0.1, -0.3, 0.0, 0.4)
"""old - rollout, token by token."""

log_probs = st.lists(st.floats(-12, -1e-3), min_size=2, max_size=8)


def rows(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rollout_corr/training_log_ppl", mean([1.5, 1.75])),
        ("rollout_corr/training_ppl", mean([math.exp(1.5), math.exp(1.75)])),
        ("rollout_corr/rollout_ppl", mean([math.exp(1.4), math.exp(1.95)])),
        ("rollout_corr/kl", -mean(list(APART))),
        ("rollout_corr/k3_kl", mean([math.exp(x) - x - 1 for x in APART])),
        ("rollout_corr/log_ppl_diff", mean([0.1, -0.2])),
        ("rollout_corr/log_ppl_abs_diff", mean([0.1, 0.2])),
        ("rollout_corr/log_ppl_diff_max", 0.1),
        ("rollout_corr/log_ppl_diff_min", -0.2),
        ("rollout_corr/ppl_ratio", mean([math.exp(0.1), math.exp(-0.2)])),
        ("rollout_corr/chi2_token", mean([math.exp(2 * x) for x in APART]) - 1),
        ("rollout_corr/chi2_seq", mean([math.exp(-0.4), math.exp(0.8)]) - 1),
        ("sampling/sampling_logp_difference/mean", mean([abs(x) for x in APART])),
        ("sampling/sampling_logp_difference/max", 0.4),
        ("sampling/importance_sampling_ratio/min", math.exp(-0.2)),
        ("sampling/importance_sampling_ratio/max", math.exp(0.4)),
        ("vllm_kl", -mean(list(APART))),
    ],
)
def test_each_is_what_its_formula_says(name: str, value: float) -> None:
    assert metrics.every(OLD, ROLLOUT)[name] == pytest.approx(value, abs=1e-12)


def test_a_row_above_the_bound_of_trl_is_masked() -> None:
    found = metrics.trl(rows([-1.0, -1.0]), rows([-2.0, -2.0]))
    assert found["sampling/importance_sampling_ratio/max"] == 0


@given(log_probs)
def test_a_trainer_that_is_its_engine_is_at_no_distance(values: list[float]) -> None:
    found = metrics.every(rows(values), rows(values))
    for name in ("rollout_corr/kl", "rollout_corr/k3_kl", "rollout_corr/chi2_token", "rollout_corr/chi2_seq"):
        assert found[name] == 0
    assert found["rollout_corr/ppl_ratio"] == found["sampling/importance_sampling_ratio/mean"] == 1


@given(st.lists(st.tuples(st.floats(-12, -1e-3), st.floats(-12, -1e-3)), min_size=1, max_size=8))
def test_laws_that_hold_for_any_two(pairs: list[tuple[float, float]]) -> None:
    old, rollout = (rows([pair[side] for pair in pairs]) for side in (0, 1))
    found = metrics.every(old, rollout)
    assert found["rollout_corr/k3_kl"] >= 0
    assert found["vllm_kl"] == found["rollout_corr/kl"] == pytest.approx(-found["rollout_corr/log_ppl_diff"] * -1)
    assert abs(found["rollout_corr/kl"]) <= found["sampling/sampling_logp_difference/mean"] + 1e-12


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=8))
def test_the_true_divergence_is_a_sum_over_the_vocabulary(pairs: list[tuple[float, float]]) -> None:
    one, other = (torch.tensor([[[p[side] for p in pairs]]], dtype=torch.float64).log_softmax(-1) for side in (0, 1))
    found = metrics.divergence(one, other)
    assert found == pytest.approx(float((one.exp() * (one - other)).sum()), abs=1e-12)
    assert found >= -1e-12
    assert metrics.divergence(one, one) == 0


def test_k1_over_samples_of_a_third_distribution_is_a_difference_of_divergences() -> None:
    """What the page says of kl on sequences that no engine sampled, by enumeration of one token."""
    p, q, o = (
        torch.tensor(values, dtype=torch.float64).log()
        for values in ([0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.4, 0.4, 0.2])
    )
    mean_of_k1 = float((p.exp() * (q - o)).sum())
    kl = metrics.divergence
    assert mean_of_k1 == pytest.approx(kl(p.view(1, 1, 3), o.view(1, 1, 3)) - kl(p.view(1, 1, 3), q.view(1, 1, 3)))

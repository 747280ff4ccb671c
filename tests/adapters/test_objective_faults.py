"""Faults of objectives are hidden where, and only where, the reference trains as it should."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import scenarios
from adapters import policy
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT
from harness.oracle.basis_cache import BasisCache
from tests.faults import proof

OF_ADVANTAGES = ("raw-rewards", "baseline-of-another-group", "baseline-of-all-rewards", "advantages-scaled-otherwise")
RATIOS = ("ratio-unclipped", "ratio-clipped-on-the-wrong-side", "ratio-of-one", "ratio-of-the-other-kind")
KL = ("divergence-twice", "divergence-left-out", "divergence-subtracted")
DIVERGENCE = scenarios.get("grpo-divergence")


@pytest.mark.parametrize("name", OF_ADVANTAGES)
@settings(max_examples=300)
@given(
    st.sampled_from([1, 2, 4]),
    st.lists(st.sampled_from([-3.0, 0.0, 3.0]), min_size=4, max_size=8).filter(lambda found: len(found) % 4 == 0),
    st.sampled_from(["group", "group-std", "given"]),
)
def test_of_advantages(name, size, rewards, advantage):
    assume(advantage != "group-std" or size > 1)
    base = scenarios.get("grpo-token")
    rows = base.data.rows[: len(rewards)]
    scenario = vary(base, rows=rows, rewards=tuple(rewards), group_size=size, advantage=advantage)
    wanted, fault = scenario.objective, CATALOGUE[name]
    found = policy.advantages(wanted, fault.plan)
    same = found == pytest.approx(policy.advantages(wanted, RIGHT))
    assert (fault.hidden(scenario) is not None) == same


@pytest.mark.parametrize("name", RATIOS)
def test_of_ratios_in_one_step(name):
    assert CATALOGUE[name].hidden(scenarios.get("grpo-stale")) is None
    assert CATALOGUE[name].hidden(vary(scenarios.get("grpo-stale"), steps=1)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", KL)
def test_of_the_log_ratio_that_pulls_in_the_first_step_already(name):
    scenario, fault = vary(DIVERGENCE, divergence="k1", steps=1), CATALOGUE[name]
    assert fault.hidden(scenario) is None
    proof.assert_named(proof.judged(scenario, fault.plan, BasisCache()), fault)


@pytest.mark.slow
def test_of_the_log_ratio_whatever_the_reference():
    scenario, fault = vary(DIVERGENCE, divergence="k1"), CATALOGUE["reference-drifts"]
    assert fault.hidden(scenario) is not None
    proof.assert_hidden(proof.judged(scenario, fault.plan, BasisCache()), fault)

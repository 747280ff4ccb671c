"""Any fault in any geometry: clean stays clean, planted is named, wherever it changes anything at all."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from adapters.contract import Scenario, tensors_file
from adapters.faults import CATALOGUE, RIGHT, Fault, Plan
from harness.judging.judge import Judgement, judge
from harness.oracle.basis_cache import BasisCache
from tests.faults import expected, proof, simulate
from tests.faults.geometries import geometries

SAME, OTHER = 2e-6, 1e-4
"""Relative distance of two runs' gradients that is rounding, and from which on a difference must be found."""


def consumed(trace: Path, scenario: Scenario) -> list[float]:
    """Adam's first moment after every step, end to end."""
    states = [load_file(trace / tensors_file(step + 1)) for step in range(scenario.window.steps)]
    return [v for s in states for n in sorted(s) if n.startswith("exp_avg/") for v in s[n].flatten().tolist()]


def distance(one: list[float], other: list[float]) -> float:
    """L2, relative to the first."""
    square = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    return float((square / sum(a * a for a in one)) ** 0.5)


def judged(scenario: Scenario, plan: Plan, cache: BasisCache) -> tuple[Judgement, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        trace = simulate.run(scenario, plan, Path(folder))
        return judge(trace, cache), consumed(trace, scenario)


def changes_something(scenario: Scenario, fault: Fault, clean: list[float], planted: list[float]) -> bool:
    """Whether the plan departs from the right step here: by counting for weights, by what two runs did for clipping."""
    if fault.hidden(scenario) is not None:
        return False
    if fault.cause == "mean-of-means":
        return not expected.same_weights(scenario, fault.plan, RIGHT)
    if fault.cause == "clipping":
        off = distance(clean, planted)
        assume(off <= SAME or off >= OTHER)
        return off >= OTHER
    return True


def assert_level(judgement: Judgement, scenario: Scenario, fault: Fault) -> None:
    """Where two ways of averaging come to the same, either name is right; any other is not."""
    for finding in judgement.findings:
        if finding.code == "weights.mean-of-means":
            named = Plan(level=finding.detail["level"])
            step = finding.step or 0
            assert expected.weights(scenario, named, step) == expected.weights(scenario, fault.plan, step), finding


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=geometries(), name=st.sampled_from(sorted(CATALOGUE)))
def test_clean_is_clean_and_planted_is_named(scenario: Scenario, name: str):
    cache, fault = BasisCache(4), CATALOGUE[name]
    right, clean = judged(scenario, RIGHT, cache)
    proof.assert_clean(right)
    wrong, planted = judged(scenario, fault.plan, cache)
    if changes_something(scenario, fault, clean, planted):
        event("observable")
        proof.assert_named(wrong, fault)
        assert_level(wrong, scenario, fault)
    else:
        event("hidden")
        proof.assert_hidden(wrong, fault)


@pytest.mark.parametrize("level", ["micro-batch", "rank", "micro-step", "row"])
def test_expected_weights_sum_to_one(level):
    import scenarios

    scenario = replace(scenarios.get("sft-ragged-batch2"), name="counted")
    for step in range(scenario.window.steps):
        assert sum(expected.weights(scenario, Plan(level=level), step).values()) == 1

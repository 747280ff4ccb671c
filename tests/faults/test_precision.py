"""Parameters kept in bfloat16: what is right is clean, faults are named, and who loses float32 masters is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT
from harness.intent.of_scenario import of_scenario
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from tests.faults import kinds, proof, simulate

PURE = vary(scenarios.get("sft-ragged-bf16"), masters="none", steps=2)

TOLD = ("keep-last", "mean-of-micro-batches", "scaled-by-accumulation", "no-clipping", "learning-rate-zero-first")
"""What shows however parameters are kept; what an update does to norms is lost in rounding."""


def test_a_right_run_without_masters_is_clean(cache: BasisCache) -> None:
    judgement = proof.judged(PURE, RIGHT, cache)
    proof.assert_clean(judgement)
    assert all(step.floor.token < 0.1 for step in judgement.steps)


@pytest.mark.parametrize("fault", [TOLD[1], *(pytest.param(f, marks=pytest.mark.slow) for f in TOLD if f != TOLD[1])])
def test_faults_are_named_without_masters(fault: str, cache: BasisCache) -> None:
    judgement = proof.judged(PURE, CATALOGUE[fault].plan, cache)
    proof.assert_named(judgement, CATALOGUE[fault])


@pytest.mark.parametrize("name", ["sft-ragged-bf16", pytest.param("sft-ragged", marks=pytest.mark.slow)])
def test_masters_that_are_lost_are_told(name: str, cache: BasisCache) -> None:
    judgement = proof.judged(vary(scenarios.get(name), steps=2), CATALOGUE["masters-lost"].plan, cache)
    assert [d.kind for d in judgement.diagnoses] == [kinds.KINDS["masters-lost"]], proof.told(judgement)


def test_a_right_run_without_masters_is_wrong_where_they_are_wanted(cache: BasisCache, tmp_path: Path) -> None:
    """As a trainer does that loads in bfloat16 what it is asked to keep in float32."""
    judgement = judge(simulate.run(PURE, RIGHT, tmp_path), cache, replace(of_scenario(PURE), masters="fp32"))
    assert "coarse-dtype: masters" in {d.kind for d in judgement.diagnoses}, proof.told(judgement)


def test_a_step_without_a_rate_is_right_without_masters(cache: BasisCache) -> None:
    """The first step of a warm-up from 0 moves nothing, which is not lost in rounding."""
    warm = vary(PURE, warmup_steps=1, warmup_from="zero")
    judgement = proof.judged(warm, RIGHT, cache)
    proof.assert_clean(judgement)
    assert judgement.steps[0].floor.learning_rate < 1.0

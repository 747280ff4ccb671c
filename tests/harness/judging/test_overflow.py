"""Steps in float16 that overflow: which had to be skipped, and what is counted when some were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT
from harness.intent.of_scenario import of_scenario
from harness.judging import overflow
from harness.judging.judge import judge
from harness.judging.overflow import CERTAIN, LARGEST, SAFE, Scaled
from harness.oracle.basis_cache import BasisCache
from harness.verdicts.findings import Finding
from tests.faults import proof, simulate

SCENARIO = scenarios.get("sft-ragged-fp16")
CACHE = BasisCache()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right run: two steps that overflow, then two that do not."""
    return simulate.run(SCENARIO, RIGHT, tmp_path_factory.mktemp("overflow"))


def test_steps_that_overflow_are_no_updates(trace: Path) -> None:
    judgement = judge(trace, CACHE)
    proof.assert_clean(judgement)
    assert [s.step for s in judgement.steps] == [2, 3]
    assert [s.right.update for s in judgement.steps] == [0, 1]
    assert [s.right.loss_scale for s in judgement.steps] == [2.0**18, 2.0**18]


def test_a_step_that_is_skipped_in_vain_is_told(trace: Path) -> None:
    """By the scale that somebody says it began with, nothing comes near what float16 holds."""
    judgement = judge(trace, CACHE, replace(of_scenario(SCENARIO), loss_scale=64.0))
    assert {(f.code, f.step) for f in judgement.findings} == {("update.overflow", 0), ("update.overflow", 1)}
    assert [d.kind for d in judgement.diagnoses] == ["loss-scaling: skipped in vain"]


def test_a_run_that_skips_every_step_is_unknown(tmp_path: Path) -> None:
    run = simulate.run(vary(SCENARIO, steps=1), RIGHT, tmp_path)
    (finding,) = judge(run, CACHE).findings
    assert finding.code == "run.incomplete"
    assert "all 1 optimizer steps were skipped" in finding.message


def test_without_a_scale_nothing_is_asked(trace: Path) -> None:
    judgement = judge(trace, CACHE, replace(of_scenario(SCENARIO), loss_scale=None))
    assert {f.code for f in judgement.findings} == {"run.incomplete"}  # two of four steps were made, and none knows why


@pytest.mark.parametrize(
    ("share", "must", "must_not"),
    [(2.0, True, False), (CERTAIN * 0.99, False, False), (SAFE * 1.01, False, False), (SAFE * 0.99, False, True)],
)
def test_between_certain_and_safe_either_is_right(share: float, must: bool, must_not: bool) -> None:
    one = Scaled(0, 1.0, share * LARGEST, skipped=False)
    assert (one.must, one.must_not) == (must, must_not)


def test_what_follows_of_an_overflow_is_not_told_again() -> None:
    void = Finding("update.overflow", "", step=1, detail={"skipped": False})
    kept = [Finding("weights.residual", "", step=0), Finding("inputs.batch", "", step=1), void]
    assert overflow.only([*kept, Finding("weights.residual", "", step=1), Finding("update.clip", "", step=1)]) == kept


def test_a_rank_that_skips_alone_is_all_that_is_told(tmp_path: Path) -> None:
    run = simulate.run(vary(SCENARIO, steps=1), CATALOGUE["overflow-skipped-alone"].plan, tmp_path)
    assert [d.kind for d in judge(run, CACHE).diagnoses] == ["rank-desync: skipped alone"]

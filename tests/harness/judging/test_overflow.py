"""Steps in float16 that overflow: which had to be skipped, and what is counted when some were."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Lora, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.intent.of_scenario import of_scenario
from harness.judging import overflow
from harness.judging.judge import judge
from harness.judging.overflow import CERTAIN, LARGEST, SAFE, Scaled
from harness.oracle.basis_cache import BasisCache
from harness.verdicts.findings import Finding
from tests.faults import proof, simulate
from tests.harness import breaking

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


def test_low_rank_updates_in_fp16_are_judged(tmp_path: Path) -> None:
    """Found by drawing scenarios: the gradient has only what is trained, and was held against all parameters."""
    judgement = judge(simulate.run(vary(SCENARIO, lora=Lora(rank=8), steps=2), RIGHT, tmp_path), CACHE)
    proof.assert_clean(judgement)


def test_a_step_that_is_skipped_in_vain_is_told(trace: Path) -> None:
    """By the scale that somebody says it began with, nothing comes near what float16 holds."""
    judgement = judge(trace, CACHE, replace(of_scenario(SCENARIO), loss_scale=64.0))
    assert {(f.code, f.step) for f in judgement.findings} == {("update.overflow", 0), ("update.overflow", 1)}
    assert [d.kind for d in judgement.diagnoses] == ["loss-scaling: skipped in vain"]


def test_a_run_that_skips_every_step_is_unknown(tmp_path: Path) -> None:
    run = simulate.run(vary(SCENARIO, steps=1), RIGHT, tmp_path)
    (finding,) = judge(run, CACHE).findings
    assert finding.code == "run.incomplete"
    assert finding.message.startswith("all 1 of 1 optimizer steps that can be checked were skipped")


def test_without_a_scale_nothing_is_asked(trace: Path) -> None:
    judgement = judge(trace, CACHE, replace(of_scenario(SCENARIO), loss_scale=None))
    (finding,) = judgement.findings
    assert finding.code == "run.incomplete"
    assert finding.message == "2 of 4 optimizer steps were skipped: whether rightly cannot be told"


def test_what_a_skipped_step_received_is_asked(trace: Path, tmp_path: Path) -> None:
    """A rank whose second micro-batch is its first one again, in a step that overflows."""
    copy = Path(shutil.copytree(trace, tmp_path / "trace"))

    def repeat(lines: list[dict[str, object]]) -> None:
        first, second, *_ = (line for line in lines if line["step"] == 0)
        second.update({**first, "micro_batch": second["micro_batch"]})

    breaking.batches(copy, repeat)
    found = [f for f in judge(copy, CACHE).findings if f.code.startswith("inputs.")]
    assert {(f.code, f.step) for f in found} == {("inputs.batch", 0)}


def test_ranks_that_are_apart_before_a_skipped_step_are_told(trace: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trace, tmp_path / "trace"))
    name = "param/model.norm.weight"
    for step in range(5):
        breaking.tensors(copy, lambda tensors: tensors.update({name: 1.5 * tensors[name]}), step, rank=1)
    findings = judge(copy, CACHE).findings
    assert ("state.rank-desync", 0) in {(f.code, f.step) for f in findings}
    assert any("all 1 of 4 optimizer steps" in f.message for f in findings)


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

"""All bases say the same of every planted fault that concerns weights, and what the recording alone cannot say is open.

Also of a model that the oracle has no forward pass of, which is judged by its recording alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.intent.intent import Mean
from harness.intent.of_scenario import of_scenario
from harness.judging.judge import Judgement, describe, judge
from harness.oracle.basis_cache import BasisCache
from harness.traces import reader
from harness.verdicts import questions, verdict
from tests.faults import bases, kinds, proof, simulate
from tests.harness import breaking

CODES = {"weights.dropped-micro-batches", "weights.mean-of-means", "weights.scale", "weights.mask", "update.clip"}
QUICK = ("drop-intermediate", "mean-of-micro-batches", "eos-untrained")

PLAIN = (questions.ELSEWHERE, questions.ATTENTION, questions.POSITIONS)


def _scenario(fault: str) -> Scenario:
    return vary(scenarios.get(kinds.APART.get(fault, "sft-ragged")), steps=2)


def _cases() -> list[object]:
    """Those that concern weights and show on their scenario."""
    marks = [pytest.mark.slow, pytest.mark.exhaustive]
    concerning = [name for name, fault in CATALOGUE.items() if CODES & set(fault.codes)]
    shown = [name for name in concerning if CATALOGUE[name].hidden(_scenario(name)) is None]
    return [pytest.param(name, marks=() if name in QUICK else marks) for name in shown]


def _codes(judgement: Judgement) -> Counter[str]:
    return Counter(finding.code for finding in judgement.findings)


def _kinds(judgement: Judgement) -> list[str]:
    return [diagnosis.kind for diagnosis in judgement.diagnoses]


@pytest.mark.parametrize("fault", _cases())
def test_bases_agree_on_a_planted_fault(fault: str, cache: BasisCache, tmp_path: Path) -> None:
    trace = reader.read(simulate.run(_scenario(fault), CATALOGUE[fault].plan, tmp_path))
    told = bases.judgements(trace, cache)
    assert bases.apart(told.full, told.tail) <= 1.0
    assert bases.apart(told.full, told.recorded) <= 1.0
    assert _codes(told.tail) == _codes(told.full)
    assert _kinds(told.tail) == _kinds(told.full)
    assert told.full.open == told.tail.open == ()
    assert verdict.outcome(told.recorded.findings) == verdict.outcome(told.full.findings) == "fail"
    assert _kinds(told.recorded) == _kinds(told.full)
    left_out = _codes(told.full) - _codes(told.recorded)
    assert not _codes(told.recorded) - _codes(told.full)
    assert set(left_out) <= {"grad-norm.value"}
    assert told.recorded.open == (*PLAIN, *([questions.NORM] if left_out else []))


def test_bases_agree_on_a_right_run(cache: BasisCache, tmp_path: Path) -> None:
    trace = reader.read(simulate.run(_scenario("none"), RIGHT, tmp_path))
    told = bases.judgements(trace, cache)
    assert bases.apart(told.full, told.tail) <= 1.0
    assert bases.apart(told.full, told.recorded) <= 1.0
    assert not [*told.full.findings, *told.tail.findings, *told.recorded.findings]
    assert told.recorded.open == PLAIN
    for full, recorded in zip(told.full.steps, told.recorded.steps, strict=True):
        assert recorded.norm_right == pytest.approx(full.norm_right, rel=1e-6)
        assert recorded.loss_right == pytest.approx(full.loss_right, rel=1e-7)


# ---- a family without a forward pass here


def _stablelm(fault: str) -> Scenario:
    base = _scenario(fault)
    return replace(base, model=replace(base.model, architecture="stablelm"))


@pytest.mark.parametrize("fault", _cases())
def test_a_fault_in_a_family_without_a_forward_pass_is_named(fault: str, cache: BasisCache, tmp_path: Path) -> None:
    scenario, planted = _stablelm(fault), CATALOGUE[fault]
    told = judge(simulate.run(scenario, planted.plan, tmp_path), cache)
    assert set(PLAIN) <= set(told.open)
    proof.assert_named(told, planted)
    known = kinds.of(fault, scenario)
    assert not known or set(_kinds(told)) <= known, proof.told(told)


@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
@pytest.mark.parametrize("name", ["sft-ragged", "sft-ragged-bf16", "sft-ragged-batch2", "sft-ragged-packed"])
def test_a_right_run_of_such_a_family_passes(name: str, tied: bool, cache: BasisCache, tmp_path: Path) -> None:
    base = vary(scenarios.get(name), steps=2)
    scenario = replace(base, model=replace(base.model, architecture="stablelm", tied_embeddings=tied))
    told = judge(simulate.run(scenario, RIGHT, tmp_path), cache)
    proof.assert_clean(told)
    assert set(PLAIN) <= set(told.open) <= {*PLAIN, questions.TOKENS}


def test_without_hidden_states_such_a_family_is_unknown(cache: BasisCache, tmp_path: Path) -> None:
    trace = simulate.run(_stablelm("none"), RIGHT, tmp_path)
    (trace / "tensors" / "hidden-0001-r01.safetensors").unlink()
    breaking.reseal(trace)
    told = judge(trace, cache)
    assert verdict.outcome(told.findings) == "unknown"
    assert "rank 1 did not record what the output head was given at step 1" in told.findings[0].message


def test_such_a_family_is_held_against_another_intent_and_described(cache: BasisCache, tmp_path: Path) -> None:
    scenario = _stablelm("none")
    trace = simulate.run(scenario, CATALOGUE["mean-of-micro-batches"].plan, tmp_path)
    wanted = replace(of_scenario(scenario), aggregation=Mean("micro-batch"))
    for told in (judge(trace, cache, wanted), describe(trace, cache)):
        proof.assert_clean(told)
        assert set(PLAIN) <= set(told.open)
    assert "a mean over the micro-batches, each averaged by itself" in " ".join(describe(trace, cache).description)


def test_a_tied_head_of_such_a_family_is_asked_nothing_that_needs_a_forward_pass(
    cache: BasisCache, tmp_path: Path
) -> None:
    base = _stablelm("none")
    scenario = replace(base, model=replace(base.model, tied_embeddings=True))
    told = judge(simulate.run(scenario, CATALOGUE["label-smoothing"].plan, tmp_path), cache)
    assert "weights.residual" in _codes(told)
    assert "run.incomplete" not in _codes(told), proof.told(told)
    assert [diagnosis.cause for diagnosis in told.diagnoses] == ["unexplained-gradient"]

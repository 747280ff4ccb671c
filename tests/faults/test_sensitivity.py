"""How small a change is still found and named, and whether several faults at once are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import RIGHT, Plan
from harness.judging.checks import reported
from harness.judging.evidence import StepEvidence
from tests.faults import proof


def _one_step(name: str):
    return vary(scenarios.get(name), steps=1)


def _tied(scenario: Scenario) -> Scenario:
    return replace(scenario, model=replace(scenario.model, tied_embeddings=True))


def _told(step: StepEvidence, **changed: float) -> StepEvidence:
    """The same step with another number reported of it."""
    told = tuple(line.model_copy(update=changed) for line in step.recorded.told)
    return replace(step, recorded=replace(step.recorded, told=told))


def _place(scenario, row: int) -> tuple[int, int]:
    """Rank and micro-batch of a row of the first step."""
    return next(
        (rank, number)
        for rank in range(scenario.window.ranks)
        for number in range(scenario.window.accumulation)
        for sequence in scenario.sequence_rows(0, number, rank)
        if row in sequence
    )


def _assert_row_named(scenario, row: int, factor: float, cache):
    judgement = proof.judged(scenario, Plan(row_factor=(row, factor)), cache)
    found = [f for f in judgement.findings if f.code == "weights.uneven"]
    assert [(f.rank, f.micro_batch, f.detail["row"]) for f in found] == [(*_place(scenario, row), row)], proof.told(
        judgement
    )
    assert {f.code for f in judgement.findings} <= {"weights.uneven"} | proof.REPORTS, proof.told(judgement)
    assert [d.cause for d in judgement.diagnoses] == ["uneven-weights"], proof.told(judgement)


ROWS = [3, 6, *(pytest.param(row, marks=pytest.mark.slow) for row in (0, 1))]
"""Rows 3 and 6 of the first step have the most and the fewest response tokens: 41 and 2."""


@pytest.mark.parametrize("change", [1e-4, -1e-4])
@pytest.mark.parametrize("row", ROWS)
def test_a_ten_thousandth_of_one_row_is_found_in_fp32(row, change, cache):
    _assert_row_named(_one_step("sft-ragged"), row, 1.0 + change, cache)


@pytest.mark.parametrize("change", [0.05, -0.05])
@pytest.mark.parametrize("row", ROWS)
def test_a_twentieth_of_one_row_is_found_in_bf16(row, change, cache):
    _assert_row_named(_one_step("sft-ragged-bf16"), row, 1.0 + change, cache)


@pytest.mark.parametrize(("row", "change"), [(3, 0.05), (6, -0.05)])
def test_a_twentieth_of_one_row_is_found_with_tied_embeddings_in_bf16(row, change, cache):
    _assert_row_named(_tied(_one_step("sft-ragged-bf16")), row, 1.0 + change, cache)


@pytest.mark.parametrize("tied", [False, True], ids=["apart", "tied"])
def test_a_loss_and_a_norm_that_are_told_a_little_wrong_are_found_in_bf16(tied, cache):
    """A fifth of a percent of the one, two percent of the other; told as they were, neither is a finding."""
    scenario = scenarios.get("sft-ragged-bf16")
    for step in proof.judged(_tied(scenario) if tied else scenario, RIGHT, cache).steps:
        assert not [*reported.loss(step), *reported.grad_norm(step)]
        for factor in (0.998, 1.002):
            assert [f.code for f in reported.loss(_told(step, loss=factor * step.loss_right))] == ["loss.value"]
        for factor in (0.98, 1.02):
            told = _told(step, grad_norm=factor * step.norm_right)
            assert [f.code for f in reported.grad_norm(told)] == ["grad-norm.value"]


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 1, 6])
def test_the_change_is_found_in_padded_and_packed_batches(row, cache):
    _assert_row_named(_one_step("sft-ragged-batch2"), row, 1.0 + 1e-4, cache)
    _assert_row_named(_one_step("sft-ragged-packed"), row, 1.0 + 1e-4, cache)


def _slow(plan: Plan, causes: list[str]):
    return pytest.param(plan, causes, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("plan", "causes"),
    [
        (
            Plan(keep="first-and-last", level="micro-batch", scale="1/GA"),
            ["dropped-micro-batches", "mean-of-means", "gradient-scale"],
        ),
        (Plan(mask="no-eos", decay="all", beta2=0.95), ["loss-mask", "weight-decay", "optimizer-moments"]),
        _slow(Plan(keep="first-and-last", level="micro-batch"), ["dropped-micro-batches", "mean-of-means"]),
        _slow(Plan(mask="everything", level="rank"), ["loss-mask", "mean-of-means"]),
        _slow(Plan(mask="shifted", level="micro-batch"), ["loss-mask", "mean-of-means"]),
        _slow(Plan(level="micro-batch", scale="GA"), ["mean-of-means", "gradient-scale"]),
        _slow(Plan(keep="last", scale="1/GA", clip="none"), ["dropped-micro-batches", "gradient-scale"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_faults_that_come_together_are_all_named(plan, causes, cache):
    judgement = proof.judged(scenarios.get("sft-ragged-decay"), plan, cache)
    assert [d.cause for d in judgement.diagnoses] == causes, proof.told(judgement)


def test_a_mask_that_reaches_into_the_padding_is_told_with_what_else_is_wrong(cache):
    plan = Plan(mask="late", level="micro-batch", scale="GA")
    judgement = proof.judged(_one_step("sft-ragged-batch2"), plan, cache)
    assert [d.cause for d in judgement.diagnoses] == ["loss-mask", "mean-of-means", "gradient-scale"]
    assert "padding" in judgement.diagnoses[0].summary
    assert {f.code for f in judgement.findings} >= {"weights.mask", "weights.mean-of-means", "grad-norm.value"}


def test_a_misreported_learning_rate_is_a_cause_of_its_own(cache):
    plan = Plan(level="micro-batch", scale="GA", reported_shift=1)
    judgement = proof.judged(scenarios.get("sft-ragged-warmup"), plan, cache)
    assert [d.cause for d in judgement.diagnoses] == ["mean-of-means", "gradient-scale", "misreported"]
    first, _, last = judgement.diagnoses
    assert "learning-rate.value" not in first.codes
    assert last.codes == ("learning-rate.value",)
    assert last.summary == "the reported learning rate is that of the next step"

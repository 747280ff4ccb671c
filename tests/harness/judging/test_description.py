"""A trace whose intent nobody has said is described in sentences; what no objective does is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from adapters.contract import Schedule
from adapters.faults import RIGHT, Plan
from harness.judging import judge
from harness.judging.judge import Judgement
from harness.oracle.basis_cache import BasisCache
from tests.faults.proof import assert_clean, told
from tests.harness.judging import wanted


def described(plan: Plan, folder: Path, bases: BasisCache, **changed: object) -> Judgement:
    return judge.describe(wanted.made(plan, folder, **changed), bases)


OBJECTIVES: dict[str, tuple[Plan, str]] = {
    "token": (RIGHT, "a mean over the tokens of the window"),
    "micro-batch": (Plan(level="micro-batch"), "a mean over the micro-batches, each averaged by itself"),
    "rank": (Plan(level="rank"), "a mean over the ranks, each averaged by itself"),
    "micro-step": (Plan(level="micro-step"), "a mean over the micro-steps, each averaged over all ranks by itself"),
    "row": (Plan(level="row"), "a mean over the sequences, each averaged by itself"),
    "sum": (Plan(divisor=20.0), "a sum over the tokens, divided by 20"),
    "plain sum": (Plan(divisor=1.0), "a sum over the tokens, divided by 1"),
    "unclipped sum": (Plan(divisor=37.5, clip="none"), "a sum over the tokens, divided by 37.5"),
    "unclipped row": (Plan(level="row", clip="none"), "a mean over the sequences, each averaged by itself"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_described_as_what_it_is(name: str, tmp_path: Path, bases: BasisCache) -> None:
    plan, said = OBJECTIVES[name]
    judged = described(plan, tmp_path, bases)
    assert_clean(judged)
    (sentence,) = [line for line in judged.description if ": a mean" in line or ": a sum" in line]
    assert f": {said}, " in sentence
    assert ("not clipped" if plan.clip == "none" else " -> 1.0") in sentence


def test_the_words(tmp_path: Path, bases: BasisCache, snapshot: SnapshotAssertion) -> None:
    assert "\n".join(described(RIGHT, tmp_path, bases).description) == snapshot


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(mask="everything"), "trained are every token, prompts too: "),
        (Plan(mask="with-tag"), "trained are the tokens of the responses and the tag before them: "),
        (Plan(decay="all"), "weight decay 0.1 on all 12 tensors"),
        (Plan(eps=1e-5), "AdamW with beta1 0.9, beta2 0.999 and eps 1e-05"),
        (Plan(beta1=0.8), "AdamW with beta1 0.8, beta2 0.999 and eps 1e-08"),
    ],
)
def test_what_somebody_may_want_is_described_and_no_finding(
    plan: Plan, said: str, tmp_path: Path, bases: BasisCache
) -> None:
    judged = described(plan, tmp_path, bases)
    assert_clean(judged)
    assert any(line.startswith(said) for line in judged.description), judged.description


def test_rates_are_told_by_step(tmp_path: Path, bases: BasisCache) -> None:
    judged = described(RIGHT, tmp_path, bases, schedule=Schedule(warmup_steps=4))
    assert_clean(judged)
    assert "learning rate 0.00025, 0.0005 by step" in judged.description


def test_a_limit_that_nobody_would_choose_is_told_if_all_steps_end_with_it(tmp_path: Path, bases: BasisCache) -> None:
    judged = described(RIGHT, tmp_path, bases, max_grad_norm=0.31459)
    assert_clean(judged)
    assert any(line.endswith(" -> 0.31459") for line in judged.description), judged.description


@pytest.mark.parametrize(
    ("plan", "cause", "said"),
    [
        (Plan(keep="first"), "dropped-micro-batches", "steps 0, 1: micro-batches are dropped, which no objective does"),
        (Plan(scale="GA"), "gradient-scale", None),
        (Plan(scale="1/GA", clip="none"), "gradient-scale", "steps 0, 1: the gradient is off by one factor, which"),
        (Plan(last_rank_alone=True), "rank-desync", None),
        (Plan(zero_first_step=True), "learning-rate-schedule", "learning rate 0, 0.001 by step"),
        (Plan(mask="no-eos"), "loss-mask", "steps 0, 1: the tokens that are trained are not those, which"),
        (Plan(mask="late"), "loss-mask", "steps 0, 1: the tokens that are trained are not those, which"),
        (Plan(zero_grad=False), "stale-gradient", None),
    ],
)
def test_what_no_objective_does_is_found(
    plan: Plan, cause: str, said: str | None, tmp_path: Path, bases: BasisCache
) -> None:
    judged = described(plan, tmp_path, bases)
    assert [d.cause for d in judged.diagnoses] == [cause], told(judged)
    if said is not None:
        assert any(line.startswith(said) for line in judged.description), judged.description


def test_the_intent_of_the_scenario_is_forgotten(tmp_path: Path, bases: BasisCache) -> None:
    """A mean over sequences is wrong by the scenario, and described without a finding."""
    trace = wanted.made(Plan(level="row", decay="all"), tmp_path)
    assert {d.cause for d in judge.judge(trace, bases).diagnoses} == {"mean-of-means", "weight-decay"}
    assert_clean(judge.describe(trace, bases))


def test_of_a_trace_that_cannot_be_read_nothing_is_described(tmp_path: Path) -> None:
    judged = judge.describe(tmp_path)
    assert [f.code for f in judged.findings] == ["run.unreadable"]
    assert judged.description == ()

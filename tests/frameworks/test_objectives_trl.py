"""Preferences and rewards in TRL: what its DPOTrainer and GRPOTrainer do right, and what older releases got wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from harness.judging.evidence import StepEvidence
from harness.judging.judge import judge
from harness.traces import batch
from scenarios import text
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words
from tests.frameworks.reading import assert_weights_of_formula, diagnosis
from tests.frameworks.test_shims import applied

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST = "trl==1.16.0"
RIGHT = (
    *("dpo-ragged", "dpo-ipo-mean", "dpo-with-sft", "means"),
    *("grpo-token", "grpo-row", "grpo-constant", "grpo-sequence", "grpo-masked"),
)
TELLING = ("dpo-ragged", "grpo-token")
OF_PAIRS = ("dpo-ragged", "dpo-smoothed", "dpo-with-sft")
TOLERANCE = 1e-5
"""Of the largest weight, in fp32."""


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    folder = tmp_path_factory.mktemp("objectives")
    (folder / "means.toml").write_text('name = "means"\nbase = "dpo-ragged"\nobjective.preference = "sigmoid-mean"\n')
    (folder / "unclipped.toml").write_text(
        'name = "unclipped"\nbase = "grpo-stale"\noptimizer.max_grad_norm = "none"\n'
    )
    chosen = ["--framework", NEWEST]
    chosen += words(
        "--scenario", ["dpo-*", "grpo-*", *(str(folder / f"{name}.toml") for name in ("means", "unclipped"))]
    )
    return command.run(folder, environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Before, in and behind the releases in which nothing divides the loss of pairs by the accumulation."""
    frameworks = ["trl==0.11.4", "trl==0.12.2", "trl==0.14.0"]
    chosen = words("--framework", frameworks) + words("--scenario", OF_PAIRS)
    return command.run(tmp_path_factory.mktemp("older-pairs"), environments, *chosen, timeout=BUILDING)


def share(step: StepEvidence) -> float:
    """What a row weighs, over what it should: all of them the same."""
    found = [row.weight / row.expected for row in step.tokens.rows if row.expected]
    assert max(found) - min(found) <= 1e-3 * abs(found[0])
    return sum(found) / len(found)


def test_preferences_and_rewards_are_right(tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", NEWEST, *words("--scenario", TELLING)]
    run = command.run(tmp_path, environments, *chosen, timeout=BUILDING)
    assert run.status == 0, run.said


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RIGHT)
def test_each_weight_is_that_of_the_formula(every: Run, name: str) -> None:
    assert_weights_of_formula(every, f"{NEWEST}/{name}", TOLERANCE)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "field"),
    [("dpo-smoothed", "preference_smoothing"), ("dpo-ipo", "preference"), ("grpo-mixed", "demonstrations")],
)
def test_what_it_cannot_do_is_said(every: Run, name: str, field: str) -> None:
    found = every.cell(f"{NEWEST}/{name}")
    assert found.verdict == "unsupported"
    assert field in (found.reason or "")


@pytest.mark.exhaustive
def test_tokens_are_averaged_over_all_steps_of_a_sampling(every: Run) -> None:
    """Since 1.10, each step is divided by the tokens of the sampling over its steps (_compute_loss)."""
    found = every.cell(f"{NEWEST}/unclipped")
    assert diagnosis(found, "gradient-scale")
    rows = [sum(row.loss_mask) for row in batch.right_rows(scenarios.get("grpo-stale"))]
    for number, step in enumerate(judge(every.trace(found.name)).steps):
        own = sum(rows[16:] if number % 2 else rows[:16])
        assert share(step) == pytest.approx(own / (sum(rows) / 2), rel=1e-4)


@pytest.mark.exhaustive
def test_nothing_divided_the_loss_of_pairs_by_the_accumulation(older: Run) -> None:
    """0.12 under transformers 4.46, which leaves it to a loss of the model's own (trl#2615)."""
    for name in OF_PAIRS:
        assert [older.cell(f"{release}/{name}").verdict for release in ("trl==0.11.4", "trl==0.14.0")] == ["pass"] * 2
        found = older.cell(f"trl==0.12.2/{name}")
        assert diagnosis(found, "gradient-scale").kind == "gradient-scale: GA"
    step = judge(older.trace("trl==0.12.2/dpo-smoothed")).steps[0]  # which nothing clips
    assert share(step) == pytest.approx(4, rel=1e-5)


@pytest.mark.exhaustive
def test_advantages_were_scaled_where_they_should_not_be(rewarded: Run) -> None:
    """trl#3992, in 0.22.0 and 0.22.1."""
    found = rewarded.cell("trl==0.22.0/grpo-row")
    assert diagnosis(found, "objective").kind == "objective: other-scale"
    assert rewarded.cell("trl==0.23.1/grpo-row").verdict == "pass"


@pytest.mark.exhaustive
def test_masked_completions_counted_as_tokens(rewarded: Run) -> None:
    """Before 1.9 (PR 6439)."""
    eos = text.SPECIAL.index(text.EOS)
    rows = batch.right_rows(scenarios.get("grpo-masked"))[:16]
    kept = sum(sum(row.loss_mask) for row in rows if row.ids[-1] == eos)
    found = rewarded.cell("trl==0.23.1/masked")
    step = judge(rewarded.trace(found.name)).steps[0]
    assert share(step) == pytest.approx(kept / sum(sum(row.loss_mask) for row in rows), rel=1e-4)


@pytest.mark.exhaustive
def test_a_step_was_divided_by_the_tokens_of_the_whole_sampling(rewarded: Run) -> None:
    """Before 1.10 (trl#5619): half of what it should be, where two steps are made of a sampling."""
    found = rewarded.cell("trl==0.23.1/stale")
    assert {"fixed-rollouts", "seeded-shuffle"} <= applied(rewarded.trace(found.name))
    assert share(judge(rewarded.trace(found.name)).steps[0]) == pytest.approx(0.5, rel=1e-4)

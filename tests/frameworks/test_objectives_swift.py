"""Preferences and rewards in ms-swift: its `rlhf_type` dpo and grpo."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judging.judge import judge
from tests.frameworks import command
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST = "ms-swift==4.6.0"
WHOLE = f"{NEWEST},msgspec==0.20.0"
RIGHT = ("dpo-ragged", "dpo-smoothed", "dpo-ipo-mean", "dpo-with-sft")

ELSEWHERE = """
name = "{name}"
base = "dpo-with-sft"
{told}
"""
OTHERS = {
    "cut": "data.max_length = 24",
    "lora": "model.lora.rank = 4",
    "zero2": 'sharding.strategy = "zero2"',
    "zero3": 'sharding.strategy = "zero3"',
    "fsdp": 'sharding.strategy = "fsdp"',
}

TWO_PAIRS = """
name = "two-pairs"
base = "dpo-with-sft"
optimizer.max_grad_norm = "none"
window = { micro_batch_size = 4, accumulation = 2 }
"""


def test_preferences_are_right(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", "dpo-ragged", timeout=BUILDING)
    assert run.status == 0, run.said


@pytest.mark.exhaustive
def test_all_preferences_are_right(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", "dpo-*", timeout=BUILDING)
    found = {cell.scenario: cell.verdict for cell in run.verdict.cells}
    assert found == {**dict.fromkeys(RIGHT, "pass"), "dpo-ipo": "unsupported"}


@pytest.mark.exhaustive
def test_the_reference_holds_wherever_a_model_is_kept(tmp_path: Path, environments: Path) -> None:
    """Also of low-rank updates, whose reference it takes for the model without any unless it is told."""
    chosen = []
    for name, told in OTHERS.items():
        (tmp_path / f"{name}.toml").write_text(ELSEWHERE.format(name=name, told=told))
        chosen.append(str(tmp_path / f"{name}.toml"))
    run = command.run(tmp_path, environments, "--framework", WHOLE, *words("--scenario", chosen), timeout=BUILDING)
    assert {cell.scenario: cell.verdict for cell in run.verdict.cells} == dict.fromkeys(OTHERS, "pass"), run.said


@pytest.mark.exhaustive
def test_chosen_answers_are_averaged_over_the_tokens_of_a_micro_batch(tmp_path: Path, environments: Path) -> None:
    """Of several pairs, the loss that rpo_alpha adds is one mean over all of their chosen tokens, so that long answers
    weigh more (concatenated_forward in rlhf_trainers/dpo_trainer.py)."""
    (tmp_path / "two.toml").write_text(TWO_PAIRS)
    told = ["--framework", NEWEST, "--scenario", str(tmp_path / "two.toml")]
    run = command.run(tmp_path, environments, *told, timeout=BUILDING)
    assert [cell.verdict for cell in run.verdict.cells] == ["fail"]
    rows = judge(run.trace(f"{NEWEST}/two-pairs")).steps[0].tokens.rows
    batches = {(row.rank, row.micro_batch) for row in rows}
    for batch in batches:
        chosen = [row for row in rows if (row.rank, row.micro_batch) == batch and row.expected > 0]
        mean = sum(row.trained for row in chosen) / len(chosen)
        for row in chosen:
            # beta / 2 of the sigmoid for each token, 0.5 / length of the answer for itself
            right, made = 0.05 + 0.5 / row.trained, 0.05 + 0.5 / mean
            assert row.weight / row.expected == pytest.approx(made / right, rel=1e-5)

"""Preferences and rewards in ms-swift: its `rlhf_type` dpo and grpo."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judging.judge import judge
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST = "ms-swift==4.6.0"
WHOLE = f"{NEWEST},msgspec==0.20.0"
OLD = "ms-swift==4.5.2,msgspec==0.20.0"
RIGHT = ("dpo-ragged", "dpo-smoothed", "dpo-ipo-mean", "dpo-with-sft")

REWARDED = ("grpo-row", "grpo-constant", "grpo-token", "grpo-sequence")

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

FREE = """
name = "free-{name}"
base = "grpo-{name}"
optimizer.max_grad_norm = "none"
"""

REFERRED = """
name = "{name}"
base = "grpo-row"
objective.beta = 0.04
{told}
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


@pytest.fixture(scope="module")
def rewarded(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Two releases on completions and their rewards; and on such steps that nothing clips."""
    folder = tmp_path_factory.mktemp("rewards")
    chosen = list(REWARDED)
    for name in ("token", "masked", "stale"):
        chosen.append(str(folder / f"{name}.toml"))
        (folder / f"{name}.toml").write_text(FREE.format(name=name))
    told = words("--framework", [WHOLE, OLD]) + words("--scenario", chosen)
    return command.run(folder, environments, *told, timeout=BUILDING)


def shares(run: Run, name: str) -> list[float]:
    """Of what it should be, the weight of each row in the first step."""
    rows = judge(run.trace(name)).steps[0].tokens.rows
    return [row.weight / row.expected for row in rows if row.expected]


def test_it_needs_what_it_does_not_ask_for(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", "grpo-row", timeout=BUILDING)
    (found,) = run.verdict.cells
    assert found.verdict == "unsupported"
    assert "ms-swift==4.6.0,msgspec==" in (found.reason or "")


@pytest.mark.exhaustive
def test_rewards_are_right(rewarded: Run) -> None:
    assert {name: rewarded.cell(f"{WHOLE}/{name}").verdict for name in REWARDED} == dict.fromkeys(REWARDED, "pass")


@pytest.mark.exhaustive
def test_a_mean_over_tokens_was_divided_by_the_accumulation_once_more(rewarded: Run) -> None:
    """ms-swift#10117, until 4.6.0. Where each completion is averaged, it was not."""
    found = rewarded.cell(f"{OLD}/free-token")
    assert [d.kind for d in found.diagnoses] == ["gradient-scale: 1/GA"]
    assert "PR 10116" in (found.diagnoses[0].upstream or "")
    assert [rewarded.cell(f"{OLD}/{name}").verdict for name in ("grpo-row", "grpo-constant")] == ["pass"] * 2
    assert rewarded.cell(f"{WHOLE}/free-token").verdict == "pass"


@pytest.mark.exhaustive
def test_masked_completions_count_in_what_is_divided_by(rewarded: Run) -> None:
    """num_items_in_batch is counted before overlong_filter takes them out (rlhf_trainers/grpo_trainer.py)."""
    told = rewarded.cell(f"{WHOLE}/free-masked")
    assert [d.kind for d in told.diagnoses] == ["gradient-scale: tokens of masked completions are counted"]
    assert "overlong_filter" in (told.diagnoses[0].upstream or "")
    found = shares(rewarded, f"{WHOLE}/free-masked")
    assert found == pytest.approx([179 / 211] * len(found), rel=1e-5)


@pytest.mark.exhaustive
def test_of_several_steps_of_a_sampling_each_is_divided_by_the_tokens_of_all(rewarded: Run) -> None:
    """num_items_in_batch is that of the whole sampling (rlhf_trainers/grpo_trainer.py), as in TRL before 1.10."""
    assert rewarded.cell(f"{WHOLE}/free-stale").verdict == "fail"
    found = shares(rewarded, f"{WHOLE}/free-stale")
    assert found == pytest.approx([211 / 423] * len(found), rel=1e-5)


@pytest.mark.exhaustive
def test_rewards_wherever_a_model_is_kept(tmp_path: Path, environments: Path) -> None:
    """Beside a reference."""
    others = {name: told for name, told in OTHERS.items() if name != "cut"}
    chosen = []
    for name, told in others.items():
        (tmp_path / f"{name}.toml").write_text(REFERRED.format(name=name, told=told))
        chosen.append(str(tmp_path / f"{name}.toml"))
    run = command.run(tmp_path, environments, "--framework", WHOLE, *words("--scenario", chosen), timeout=BUILDING)
    assert {cell.scenario: cell.verdict for cell in run.verdict.cells} == dict.fromkeys(others, "pass"), run.said

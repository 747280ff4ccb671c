"""Preferences in LLaMA-Factory: its stage `dpo`, what is right in it, and what was and is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judging.judge import judge
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST, MENDED, WRONG = "llamafactory==0.9.5", "llamafactory==0.9.2", "llamafactory==0.9.1"
RIGHT = ("dpo-ragged", "dpo-smoothed", "dpo-with-sft")

IPO_WITH_SFT = """
name = "ipo-with-sft"
base = "dpo-ipo-mean"
objective.sft_coefficient = 0.5
optimizer.max_grad_norm = "none"
"""

ELSEWHERE = """
name = "{name}"
base = "dpo-with-sft"
{told}
"""
OTHERS = {
    "lora": "model.lora.rank = 4",
    "zero2": 'sharding.strategy = "zero2"',
    "zero3": 'sharding.strategy = "zero3"',
    "fsdp": 'sharding.strategy = "fsdp"',
    "two-pairs": "window = { micro_batch_size = 4, accumulation = 2 }",
}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Run:
    """Three releases on every preference, and on IPO beside the loss of the chosen answers, which nothing clips."""
    folder = tmp_path_factory.mktemp("preferences")
    (folder / "ipo.toml").write_text(IPO_WITH_SFT)
    chosen = words("--framework", [NEWEST, MENDED, WRONG]) + words("--scenario", ["dpo-*", str(folder / "ipo.toml")])
    return command.run(folder, environments, *chosen, timeout=BUILDING)


def test_preferences_are_right(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", "dpo-ragged", timeout=BUILDING)
    assert run.status == 0, run.said


@pytest.mark.exhaustive
def test_what_every_release_does_right(releases: Run) -> None:
    for release in (NEWEST, MENDED, WRONG):
        assert {name: releases.cell(f"{release}/{name}").verdict for name in RIGHT} == dict.fromkeys(RIGHT, "pass")


@pytest.mark.exhaustive
def test_it_has_no_ipo_of_sums(releases: Run) -> None:
    found = releases.cell(f"{NEWEST}/dpo-ipo")
    assert found.verdict == "unsupported"
    assert "objective.preference" in (found.reason or "")


@pytest.mark.exhaustive
def test_ipo_is_sigmoid_since_trl_chooses_the_loss_by_an_argument(releases: Run) -> None:
    """It hands dpo_loss none (train/dpo/trainer.py), whose default is sigmoid since TRL 0.20: at the start, the weight
    of a token is beta / 2 of its mean instead of 1 / beta of it."""
    found = releases.cell(f"{NEWEST}/dpo-ipo-mean")
    assert found.verdict == "accepted"  # scenarios/accepted.toml
    assert [d.kind for d in found.diagnoses] == ["objective: sigmoid-for-square"]
    assert "TRL 0.20" in (found.diagnoses[0].upstream or "")
    assert releases.cell(f"{MENDED}/dpo-ipo-mean").verdict == "pass"
    for row in judge(releases.trace(f"{NEWEST}/ipo-with-sft")).steps[0].tokens.rows:
        assert row.row is not None
        each = 0.5 if row.row % 2 == 0 else 0.0
        sign = 1 - 2 * (row.row % 2)
        assert row.weight / row.expected == pytest.approx((sign * 0.1 / 2 + each) / (sign * 1 / 0.1 + each), rel=1e-5)


@pytest.mark.exhaustive
def test_the_loss_of_chosen_answers_was_divided_by_their_length_twice(releases: Run) -> None:
    """Beside IPO, before 0.9.2 (LlamaFactory#6722)."""
    assert releases.cell(f"{MENDED}/ipo-with-sft").verdict == "pass"
    found = releases.cell(f"{WRONG}/ipo-with-sft")
    assert found.verdict == "fail"
    for row in judge(releases.trace(found.name)).steps[0].tokens.rows:
        assert row.row is not None
        twice = (10 + 0.5 / row.trained) / (10 + 0.5) if row.row % 2 == 0 else 1.0
        assert row.weight / row.expected == pytest.approx(twice, rel=1e-5)


@pytest.mark.exhaustive
def test_the_reference_holds_wherever_a_model_is_kept(tmp_path: Path, environments: Path) -> None:
    """Also of low-rank updates, whose reference it takes for the model without any unless it is told."""
    chosen = []
    for name, told in OTHERS.items():
        (tmp_path / f"{name}.toml").write_text(ELSEWHERE.format(name=name, told=told))
        chosen.append(str(tmp_path / f"{name}.toml"))
    run = command.run(tmp_path, environments, "--framework", NEWEST, *words("--scenario", chosen), timeout=BUILDING)
    assert {cell.scenario: cell.verdict for cell in run.verdict.cells} == dict.fromkeys(OTHERS, "pass"), run.said

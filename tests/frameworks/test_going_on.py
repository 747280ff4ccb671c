"""Runs of real releases that go on from a checkpoint where it is hard: at the end of an epoch, and on fewer ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(1800)]

FEWER = 'base = "sft-ragged-resume"\n[window]\nresume_ranks = 1\n'
EXPERTS = 'base = "sft-ragged-moe"\n[window]\nresume_after = 1\n'
LATER = 'base = "sft-ragged-shuffled"\n[window]\nresume_after = 2\n'


def run(folder: Path, environments: Path, name: str, scenario: str, frameworks: tuple[str, ...]) -> Run:
    file = folder / f"{name}.toml"
    file.write_text(scenario)
    chosen = [*words("--framework", frameworks), "--scenario", str(file)]
    return command.run(folder, environments, *chosen)


def test_an_epoch_is_lost_behind_a_checkpoint_at_the_end_of_one(tmp_path: Path, environments: Path) -> None:
    cell = run(tmp_path, environments, "later", LATER, ("verl==0.9.1",)).cell("verl==0.9.1/later")
    assert (cell.verdict, [d.kind for d in cell.diagnoses]) == ("fail", ["resume: epoch lost"])
    assert [f.code for f in cell.findings] == ["inputs.epoch"]
    assert "trainer.save_freq" in (cell.diagnoses[0].remedy or "")


def test_on_fewer_ranks_the_trainer_trains_rows_again(tmp_path: Path, environments: Path) -> None:
    right, wrong = ("torch==2.13.0", "ddp==2.13.0", "fsdp2==2.13.0"), ("trl==1.16.0", "llamafactory==0.9.5")
    ran = run(tmp_path, environments, "fewer", FEWER, (*right, *wrong, "openrlhf==0.11.2", "verl==0.9.1"))
    assert {name: ran.cell(f"{name}/fewer").verdict for name in right} == dict.fromkeys(right, "pass")
    for name in wrong:
        cell = ran.cell(f"{name}/fewer")
        assert (cell.verdict, [d.kind for d in cell.diagnoses]) == ("fail", ["resume: rows by the new ranks"])
        assert "5.20.2" in (cell.diagnoses[0].upstream or "")
    for name in ("openrlhf==0.11.2", "verl==0.9.1"):
        cell = ran.cell(f"{name}/fewer")
        assert cell.verdict == "unsupported"
        assert "resume_ranks" in (cell.reason or "")


def test_the_trainer_loses_routed_experts(tmp_path: Path, environments: Path) -> None:
    right, wrong = ("torch==2.13.0", "trl==0.23.1"), ("trl==1.16.0", "trl==1.16.0,transformers==5.24.0")
    ran = run(tmp_path, environments, "experts", EXPERTS, (*right, *wrong))
    assert {name: ran.cell(f"{name}/experts").verdict for name in right} == dict.fromkeys(right, "pass")
    for name in wrong:
        cell = ran.cell(f"{name}/experts")
        assert (cell.verdict, [d.kind for d in cell.diagnoses]) == ("fail", ["resume: parameters"])
        assert ".experts.0." in cell.diagnoses[0].evidence
        assert "PR 48822" in (cell.diagnoses[0].upstream or "")

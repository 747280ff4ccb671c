"""Sequences that are packed by choice keep to their room, and steps to their window."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from adapters import torch_sft
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT, Plan
from adapters.inside import data
from harness.judging.judge import describe, judge
from harness.oracle.basis_cache import BasisCache
from tests.faults import simulate

MEANS = CATALOGUE["mean-of-micro-batches"].plan


def asked() -> Scenario:
    return vary(scenarios.get("sft-ragged-packing"), steps=2)


@pytest.mark.parametrize("other", [{"accumulation": 1}, {"accumulation": 1, "micro_batch_size": 2}])
def test_a_step_of_other_windows_is_found(
    other: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch_sft.planned_packing, "repacked", lambda scenario, _: vary(scenario, **other))
    judgement = judge(simulate.run(asked(), RIGHT, tmp_path), BasisCache())
    assert "inputs.packing" in {finding.code for finding in judgement.findings}
    assert "packing: other windows" in {diagnosis.kind for diagnosis in judgement.diagnoses}


def test_a_row_lost_behind_the_first_epoch_is_no_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = data.dealt

    def lossy(scenario: Scenario, step: int, micro_batch: int, rank: int) -> list[list[int]]:
        dealt = right(scenario, step, micro_batch, rank)
        return [rows[:-1] if step == 2 and len(rows) > 1 else rows for rows in dealt]

    assert not judge(simulate.run(vary(asked(), steps=3), RIGHT, tmp_path / "right"), BasisCache()).findings
    monkeypatch.setattr(data, "dealt", lossy)
    judgement = judge(simulate.run(vary(asked(), steps=3), RIGHT, tmp_path / "lossy"), BasisCache())
    assert "run.incomplete" in {finding.code for finding in judgement.findings}


def test_sequences_that_are_too_long_are_found(tmp_path: Path) -> None:
    plan = CATALOGUE["packed-too-long"].plan
    judgement = judge(simulate.run(asked(), plan, tmp_path), BasisCache())
    assert "packing: longer than the room" in {diagnosis.kind for diagnosis in judgement.diagnoses}


@pytest.mark.parametrize(("plan", "causes"), [(RIGHT, set()), (MEANS, {"mean-of-means"})])
@pytest.mark.parametrize("room", [55, 120])
def test_micro_batches_by_tokens_are_those_that_were_received(
    room: int, plan: Plan, causes: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = vary(scenarios.get("sft-ragged"), steps=1, micro_batch_tokens=120 if room == 55 else 60)
    other = vary(wanted, micro_batch_tokens=room)
    assert other.micro_batches(0) != wanted.micro_batches(0)
    monkeypatch.setattr(torch_sft.planned_packing, "repacked", lambda *_: other)
    judgement = judge(simulate.run(wanted, plan, tmp_path), BasisCache())
    too_full = {"packing"} if room == 120 else set()
    assert {diagnosis.cause for diagnosis in judgement.diagnoses} == causes | too_full


def test_a_run_by_tokens_is_described(tmp_path: Path) -> None:
    wanted = vary(scenarios.get("sft-ragged"), steps=1, micro_batch_tokens=70)
    described = describe(simulate.run(wanted, MEANS, tmp_path), BasisCache())
    assert not described.findings
    assert any("micro-batch" in sentence for sentence in described.description)

"""From cells to `staircase.json`: trainings made by hand come out as they were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.contract import TRAINED_STEPS
from harness.environments.request import parse
from harness.staircase import planned, record, results, scored
from harness.staircase.arms import arms, planted
from harness.staircase.planned import Training, Trainings
from harness.staircase.record import Staircase
from harness.staircase.trainings import Size
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, Outcome

SIZE = Size(steps=20, held_out=10)
FIXES = [planted("drop-intermediate"), planted("mean-of-micro-batches")]
CAUSES = {"drop-intermediate": "dropped-micro-batches", "mean-of-micro-batches": "mean-of-means"}


def trainings(seeds: int = 2) -> Trainings:
    return planned.every(arms(parse("torch==2.13.0"), FIXES, [parse("ddp==2.13.0")], []), range(seeds), SIZE)


def cell(one: Training, folder: Path, accuracy: float, verdict: Outcome = "fail") -> CellRecord:
    """The cell of a training with that score."""
    place = f"{one.arm.scenario}-{one.arm.request.framework}-{one.seed}"
    trace = folder / place
    (trace / "trained").mkdir(parents=True)
    lines = [
        {"step": step, "loss": None, "grad_norm": 1.0, "learning_rate": 1e-3, "logged": float(step % 2)}
        for step in range(SIZE.steps)
    ]
    (trace / TRAINED_STEPS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    score = {"held_out": SIZE.held_out, "accuracy": accuracy, "nll": 1 - accuracy}
    (trace / "trained" / scored.FILE).write_text(json.dumps(score))
    planted_ones = one.arm.fault.split("+") if one.arm.fault else []
    diagnoses = [
        DiagnosisRecord(cause=CAUSES[fault], summary=fault, explains=1, codes=[], evidence="") for fault in planted_ones
    ]
    return CellRecord(
        framework="torch", version="1", scenario="s", verdict=verdict, trace=place, diagnoses=diagnoses, seconds=1.0
    )


def made(every: Trainings, folder: Path, **changed: object) -> Staircase:
    """All of it, with scores of 0.5, 0.1 more with seed 1, 0.1 more without the mean and 0.3 without dropping."""
    found = {}
    for one in every.every:
        fault = one.arm.fault or ""
        score = 0.9 + 0.01 * one.seed - 0.3 * ("drop" in fault) - 0.1 * ("mean" in fault)
        record_of = cell(one, folder, score).model_copy(update=changed if one.arm.role == "factorial" else {})
        found[one] = results.training_record(one, record_of, folder, SIZE.held_out)
    return results.staircase(every, found, ["as recovered"], [], "lockstep staircase")


def test_numbers_by_hand(tmp_path: Path) -> None:
    told = made(trainings(), tmp_path)
    accuracy, nll = told.attributions
    for attribution in (accuracy, nll):
        assert attribution.gap.mean == pytest.approx(0.4)
        assert attribution.interaction.mean == pytest.approx(0.0)
        brought = {fix.fix: fix.brings.mean for fix in attribution.fixes}
        assert brought == pytest.approx({"no drop-intermediate": 0.3, "no mean-of-micro-batches": 0.1})
        assert sum(fix.share.mean for fix in attribution.fixes if fix.share) == pytest.approx(1.0)
    assert [fix.mends for fix in accuracy.fixes] == [["dropped-micro-batches"], ["mean-of-means"]]
    assert all(arm.as_labelled for arm in told.arms)
    assert [arm.role for arm in told.arms] == [*["factorial"] * 4, "independent"]
    assert told.arms[0].flops == 6 * told.parameters * _tokens(trainings())
    assert told.claims[0].supported
    assert told.seeds == [0, 1]


def _tokens(every: Trainings) -> int:
    whole = every.every[0].whole
    return sum(whole.tokens(row) for row in whole.data.rows)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = made(trainings(1), tmp_path / "run")
    assert record.read(record.write(told, tmp_path)) == told


def test_without_every_combination_nothing_is_attributed(tmp_path: Path) -> None:
    told = made(trainings(1), tmp_path, verdict="unknown", reason="it crashed")
    assert told.missing == "not every combination of fixes was trained with every seed"
    assert (told.attributions, told.claims) == ([], [])
    assert told.arms[0].trainings[0].reason == "it crashed"
    assert told.arms[0].as_labelled is None


def test_an_arm_that_is_not_what_its_label_says(tmp_path: Path) -> None:
    told = made(trainings(1), tmp_path, diagnoses=[])
    assert [arm.as_labelled for arm in told.arms] == [True, False, False, False, True]
    assert "mends nothing that the oracle finds" in told.arms[1].weighed


def test_a_score_of_other_problems_is_none(tmp_path: Path) -> None:
    (one, *_) = trainings(1).every
    found = results.training_record(one, cell(one, tmp_path, 0.5), tmp_path, 99)
    assert found.state == "unknown"
    assert "is of 10 problems, not of 99" in str(found.reason)


def test_a_choice_and_a_checkpoint_are_shared_by_what_differs_in_its_release_alone() -> None:
    every = trainings(1)
    plan = every.plan("whole", 1, 60, planned.Confinement())
    assert plan.cells == 5
    assert len(plan.requests) == 2
    assert {choice.fault for choice in plan.choices} >= {"drop-intermediate", None}

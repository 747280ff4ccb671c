"""Which trainings there are, and when a file is that of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness import documents
from harness.policy import runs
from harness.policy.mismatches import EXACT, KINDS
from tests.harness.policy import trainings


def test_every_mismatch_has_every_correction_and_exact_rollouts_none() -> None:
    every = trainings.planned(seeds=2)
    sizes = sum(len(kind.sizes) for kind in KINDS.values())
    assert len(set(every)) == len(every) == 2 * (1 + 5 * sizes)
    assert len(trainings.planned(1, quick=True)) == 1 + 5 * len(KINDS)
    assert [run.mismatch for run in every].count(EXACT) == 2
    assert [run.seed for run in every] == sorted(run.seed for run in every)


def test_a_file_is_that_of_one_training_alone(tmp_path: Path) -> None:
    every = trainings.planned()
    assert len({runs.path(tmp_path, run) for run in every}) == len(every)
    longer = replace(every[0], size=replace(every[0].size, steps=21))
    assert runs.path(tmp_path, longer) != runs.path(tmp_path, every[0])


def test_what_is_there_is_taken_and_what_is_damaged_is_not(tmp_path: Path) -> None:
    first, second, third = trainings.planned()[:3]
    (tmp_path / runs.FOLDER).mkdir()
    made = trainings.trained((first,), {})
    documents.write(made[first], runs.path(tmp_path, first))
    runs.path(tmp_path, second).write_text("{")
    assert runs.made(tmp_path, [first, second, third]) == made

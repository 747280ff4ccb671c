"""The training that all arms make, and its first steps as a scenario of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.contract import TRAINING, Sharding, scenario_from_dict
from harness.staircase import trainings
from harness.staircase.arms import hyperparameters
from harness.staircase.trainings import FULL, QUICK, ROWS, TINY, WEIGHED, Size

WHOLE = trainings.training(TINY, 1, Sharding())
FIRST = trainings.first_steps(WHOLE, "named")


def test_first_steps_have_the_rates_and_the_rows_of_the_training() -> None:
    FIRST.check()
    steps = range(WEIGHED)
    assert FIRST.window.steps == WEIGHED
    assert [FIRST.learning_rate_at(step) for step in steps] == [WHOLE.learning_rate_at(step) for step in steps]
    assert [FIRST.step_rows(step) for step in steps] == [WHOLE.step_rows(step) for step in steps]
    assert FIRST.data.rows == WHOLE.data.rows[: len(FIRST.data.rows)]


@pytest.mark.parametrize("size", [FULL, QUICK, TINY])
def test_every_row_is_trained_once(size: Size) -> None:
    whole = trainings.training(size, 0, Sharding())
    trained = [row for step in range(size.steps) for row in whole.step_rows(step)]
    assert trained == list(range(ROWS * size.steps))


def test_a_larger_batch_trains_the_same_rows_in_fewer_steps() -> None:
    larger = trainings.training(TINY, 1, Sharding(), hyperparameters("batch=32", TINY).changes)
    assert larger.data.rows == WHOLE.data.rows
    assert (larger.window.steps, larger.rows_per_step) == (TINY.steps // 2, 2 * ROWS)


@pytest.mark.parametrize("said", ["batch=32", "schedule=linear", "schedule=constant", "lr=0.1"])
def test_every_schedule_warms_up_from_zero_for_a_tenth(said: str) -> None:
    whole = trainings.training(TINY, 1, Sharding(), hyperparameters(said, TINY).changes)
    schedule, steps = whole.optimizer.schedule, whole.window.steps
    assert schedule.warmup(steps) == steps // 10
    assert (whole.learning_rate_at(0), whole.learning_rate_at(steps // 10)) == (0.0, whole.optimizer.learning_rate)


def test_weights_and_rows_follow_from_the_seed_alone() -> None:
    other = trainings.training(TINY, 1, Sharding("zero2", offload_optimizer=True))
    assert (other.data, other.model, other.seed) == (WHOLE.data, WHOLE.model, WHOLE.seed)
    assert trainings.training(TINY, 2, Sharding()).data != WHOLE.data


def test_a_checkpoint_holds_all_of_the_training(tmp_path: Path) -> None:
    trainings.write(WHOLE, tmp_path)
    assert scenario_from_dict(json.loads((tmp_path / TRAINING).read_text())) == WHOLE
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(WHOLE.data.rows)

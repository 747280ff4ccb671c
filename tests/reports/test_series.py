"""What trackers of experiments are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import END
from harness.traces import recovered_numbers
from reports import series, source
from reports.source import Cell, Source
from tests.reports import recorded


@pytest.fixture(scope="module")
def run(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Source:
    assert (good / END).exists()
    return source.load(recorded.run(good, tmp_path_factory.mktemp("run")))


def test_a_whole_cell_tells_everything_at_every_step(run: Source) -> None:
    cell = run.cells[0]
    found = {(s.tag, s.step): s.value for s in series.scalars(cell)}
    for step in cell.steps:
        assert found["loss/reported", step.step] == pytest.approx(found["loss/right", step.step], rel=1e-5)
        assert found["grad-norm/right", step.step] == step.grad_norm.right
        assert found["learning-rate/recovered", step.step] == step.learning_rate.recovered
        assert found["gradient/unexplained", step.step] == step.residual
        places = [tag for tag, at in found if at == step.step and tag.startswith("weight/rank")]
        assert len(places) == len(set(places)) == len(step.conversations) == 4
        for tag in places:  # a right step weighs every token alike
            assert found[tag, step.step] == pytest.approx(found["weight/right", step.step], abs=step.tolerance)


def test_what_was_reported_is_told_of_a_cell_that_nothing_was_recovered_from(run: Source) -> None:
    cell = run.cells[1]
    tags = {s.tag for s in series.scalars(cell)}
    assert tags == {"loss/reported", "grad-norm/reported", "learning-rate/reported"}
    losses = [s.value for s in series.scalars(cell) if s.tag == "loss/reported"]
    assert losses == [line.loss for line in cell.told.reported]


def test_a_cell_without_a_trace_tells_nothing(run: Source) -> None:
    assert series.scalars(run.cells[2]) == ()


def test_a_number_that_is_none_is_left_out(run: Source, tmp_path: Path) -> None:
    cell = run.cells[0]
    recovered_numbers.write([cell.steps[0].model_copy(update={"residual": float("nan")})], tmp_path)
    whole = {s.tag for s in series.scalars(cell) if s.step == cell.steps[0].step}
    assert whole - {s.tag for s in series.scalars(Cell(cell.record, tmp_path))} == {"gradient/unexplained"}

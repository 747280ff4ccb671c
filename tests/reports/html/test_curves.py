"""Loss and norms over the steps: whose lines there are, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE
from harness.judging import judge, summary
from harness.session.cell import judged_record
from harness.traces import recovered_numbers
from harness.verdicts.verdict import CellRecord
from reports import source
from reports.html import curves
from reports.html.curves import QUANTITIES, RIGHT
from reports.html.figure import Figure
from reports.source import Cell
from tests.faults import simulate
from tests.reports.html.conftest import DROPPED


def drawn(planted: Path, version: str) -> Figure | None:
    cells = {cell.record.version: cell for cell in source.load(planted).cells}
    return curves.figure(cells[version], [cell for name, cell in cells.items() if name != version])


def test_the_oracles_line_is_first_in_the_legend_and_drawn_last(planted: Path) -> None:
    figure = drawn(planted, DROPPED)
    assert figure is not None
    assert figure.data["who"][:2] == [RIGHT, f"torch {DROPPED}"]
    assert "torch right" in figure.data["who"]
    assert "torch old" not in figure.data["who"]  # it tells nothing
    assert figure.data["points"][-1]["who"] == RIGHT


def test_what_was_reported_wrongly_is_said(planted: Path) -> None:
    """The planted loop that drops micro-batches reports the loss of all of them, and the norm of what is left."""
    figure = drawn(planted, DROPPED)
    assert figure is not None
    assert "eported loss: right at every step" in figure.sentence
    assert "reported gradient norm: wrong at 3 of 3 steps" in figure.sentence


@pytest.mark.slow
def test_a_learning_rate_that_is_misreported_is_drawn_and_said(tmp_path: Path) -> None:
    scenario = vary(scenarios.get("sft-ragged-warmup"), steps=2)
    trace = simulate.run(scenario, CATALOGUE["learning-rate-misreported"].plan, tmp_path)
    judged = judge.judge(trace)
    recovered_numbers.write([summary.summarize(step) for step in judged.steps], trace)
    record = CellRecord(framework="torch", version="1", scenario=scenario.name, verdict="fail", trace="trace")
    figure = curves.figure(Cell(judged_record(record, judged), trace), [])
    assert figure is not None
    assert "reported learning rate: wrong at 2 of 2 steps" in figure.sentence
    drawn = {(p["who"], p["step"]): p["value"] for p in figure.data["points"] if p["what"] == QUANTITIES[3]}
    for step in recovered_numbers.read(trace):
        assert drawn["torch 1", step.step] == step.learning_rate.reported
        assert drawn[RIGHT, step.step] == pytest.approx(step.learning_rate.recovered, rel=1e-3)
        assert drawn["torch 1", step.step] != pytest.approx(drawn[RIGHT, step.step], rel=1e-3)


def test_numbers_are_those_of_the_trace(planted: Path) -> None:
    figure = drawn(planted, "right")
    assert figure is not None
    (cell,) = [cell for cell in source.load(planted).cells if cell.record.version == "right"]
    row = next(row for row in figure.numbers.rows if row[:2] == [QUANTITIES[0], "torch right"])
    assert row[2:] == [f"{line.loss:.9g}" for line in cell.told.reported]


def test_a_cell_that_tells_nothing_has_no_picture(planted: Path) -> None:
    assert drawn(planted, "old") is None


def test_of_many_runs_the_first_are_shown(planted: Path) -> None:
    own, *_ = source.load(planted).cells
    others = [Cell(own.record.model_copy(update={"version": str(i)}), own.trace) for i in range(30)]
    figure = curves.figure(own, others)
    assert figure is not None
    assert len(figure.data["who"]) == 2 + curves.MOST_OTHERS
    assert f"Beside it {curves.MOST_OTHERS} of 30 other runs" in figure.sentence

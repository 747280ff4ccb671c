"""Frameworks against each other, on steps simulated in this process: groups, votes, weights, inputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT, Plan
from harness import cli
from harness.across import view
from harness.judging import judge, summary
from harness.session.cell import judged_record
from harness.traces import recovered_numbers
from harness.verdicts.verdict import CellRecord
from tests.faults import simulate

pytestmark = pytest.mark.slow

PLANS: dict[str, Plan] = {
    "one": RIGHT,
    "two": RIGHT,
    "dropping": CATALOGUE["drop-intermediate"].plan,
    "shifted": CATALOGUE["mask-shifted"].plan,
    "repeating": CATALOGUE["row-repeated"].plan,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of traces of one step each, judged, with their weights beside them."""
    folder = tmp_path_factory.mktemp("run")
    scenario = vary(scenarios.get("sft-ragged"), steps=1)
    for name, plan in PLANS.items():
        trace = simulate.run(scenario, plan, folder / f"making-{name}").rename(folder / name)
        recovered_numbers.write([summary.summarize(step) for step in judge.judge(trace).steps], trace)
    return folder


def cells(run: Path, *names: str) -> list[CellRecord]:
    """As if each plan were a framework of its own."""
    found = []
    for name in names:
        empty = CellRecord(framework=name, version="1.0", scenario="sft-ragged", verdict="unknown", trace=name)
        found.append(judged_record(empty, judge.judge(run / name)))
    return found


def test_the_oracle_and_the_vote(run: Path) -> None:
    (found,) = view.views(cells(run, "dropping", "one", "two"), run)
    assert [[m.partition("=")[0] for m in g.members] for g in found.groups] == [["one", "two"], ["dropping"]]
    assert [(g.votes, g.side) for g in found.groups] == [(2, "right"), (1, "wrong")]
    assert found.majority == 0
    (distance,) = found.distances
    assert (distance.first, distance.second, distance.parted) == (0, 1, 0)
    assert distance.gradient > 0.1
    assert len(found.inputs) == 1


def test_which_tokens_are_weighted_differently(run: Path) -> None:
    (found,) = view.views(cells(run, "one", "shifted"), run)
    row = next(r for r in found.rows if r.row == 0)
    right, shifted = row.spans
    assert right is not None
    assert shifted is not None
    # Five words of prompt after its role, the role that opens the answer, and nine tokens of response.
    assert [span[:2] for span in right] == [(7, 15)]
    assert [span[:2] for span in shifted] == [(6, 14)]
    assert {r.row for r in found.rows} == set(range(8))


def test_two_that_disagree_and_a_third_that_votes_without_an_oracle(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(["compare", *(str(run / n) for n in ("one", "dropping", "two"))]) == 1
    text = " ".join(capsys.readouterr().out.split())
    # All three are recorded as torch: releases of one framework have one vote.
    assert "A torch==simulated (a), torch==simulated (c) not judged by the oracle B torch==simulated (b)" in text
    assert cli.call(["compare", *(str(run / n) for n in ("one", "two", "two"))]) == 0


def test_frameworks_that_were_fed_otherwise(run: Path) -> None:
    (found,) = view.views(cells(run, "one", "two", "repeating"), run)
    assert [len(names) for names in found.inputs] == [2, 1]
    assert [g.side for g in found.groups] == ["right", "fed otherwise"]


def test_releases_of_one_framework_that_were_fed_otherwise_are_not_the_most(run: Path) -> None:
    """Three releases of one framework that repeat a row, and two frameworks that do not."""
    wrong = [
        cell.model_copy(update={"framework": "trl", "version": v})
        for v, cell in zip(("1", "2", "3"), cells(run, "repeating", "repeating", "repeating"), strict=True)
    ]
    (found,) = view.views([*wrong, *cells(run, "one", "two")], run)
    assert [len(names) for names in found.inputs] == [2, 3]
    assert found.inputs_majority == 0
    assert found.majority == 0
    assert [g.votes for g in found.groups] == [2, 1]
    (even,) = view.views([*wrong, *cells(run, "one")], run)
    assert even.inputs_majority is None


def test_weights_beside_a_leak_are_not_compared(tmp_path: Path) -> None:
    """Where packed conversations see each other, half of the gradient is none of the batch's own tokens'."""
    scenario = vary(scenarios.get("sft-ragged-packed"), steps=1)
    for name, plan in (("one", RIGHT), ("leaking", CATALOGUE["attention-leaks"].plan)):
        trace = simulate.run(scenario, plan, tmp_path / f"making-{name}").rename(tmp_path / name)
        recovered_numbers.write([summary.summarize(step) for step in judge.judge(trace).steps], trace)
    (found,) = view.views(cells(tmp_path, "one", "leaking"), tmp_path)
    assert [name.partition("=")[0] for name in found.weights_untold] == ["leaking"]
    assert found.rows == []


def test_a_lone_trace_has_no_view(run: Path) -> None:
    assert view.views(cells(run, "one"), run) == []


def test_a_broken_trace_is_left_out(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "two" / "end.json").unlink()
    (found,) = view.views(cells(run, "one", "two", "dropping"), tmp_path / "run")
    assert [[m.partition("=")[0] for m in g.members] for g in found.groups] == [["one"], ["dropping"]]


def test_weights_are_read_back(run: Path) -> None:
    (step,) = recovered_numbers.read(run / "dropping")
    assert step.targets == 140
    by_row = {c.row: c for c in step.conversations}
    assert by_row[0].weights[-1] == pytest.approx(1.0, abs=1e-4)
    assert by_row[2].weights[-1] == pytest.approx(0.0, abs=1e-4)
    assert all(len(c.weights) == len(c.ids) - 1 for c in step.conversations)


@pytest.mark.parametrize("content", ["", "{", '[{"step": 0}]'])
def test_damaged_weights_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / recovered_numbers.FILE).write_text(content)
    assert recovered_numbers.read(tmp_path) == ()

"""The commands that read whole traces: explain, judge and compare, on steps simulated in this process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, RIGHT
from harness import cli
from harness.environments import claims
from harness.history.identity import identity
from harness.session.folder import CLAIM, alone
from harness.traces import recovered_numbers
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from tests.faults import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right and a wrong trace of one step each."""
    folder = tmp_path_factory.mktemp("traces")
    scenario = vary(scenarios.get("sft-ragged"), steps=1)
    for name, plan in (("right", RIGHT), ("wrong", CATALOGUE["drop-intermediate"].plan)):
        simulate.run(scenario, plan, folder / f"making-{name}").rename(folder / name)
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.call(arguments)
    return status, " ".join(capsys.readouterr().out.split())


def test_a_wrong_trace_is_explained(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = told(capsys, "explain", str(traces / "wrong"))
    assert status == 0
    assert text.startswith("FAIL")
    assert "micro-batches 1 and 2 of 4 never reached the optimizer" in text
    assert text.count("<- wrong") == 8
    assert "0 0 0 9 1.000000" in text
    assert "1 0 2 14 0.000000" in text
    assert "learning rate, right 0.001" in text
    assert "packages: " in text


def test_weights_that_mean_nothing_are_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = vary(scenarios.get("sft-ragged-packed"), steps=1)
    trace = simulate.run(scenario, CATALOGUE["attention-leaks"].plan, tmp_path)
    _, text = told(capsys, "explain", str(trace))
    assert "conversations packed in one sequence can attend to each other" in text
    assert "Step 0: what each token weighed, x N cannot be told: much of the gradient comes from something" in text
    assert "micro-batch rank row" not in text
    assert "gradient norm, right" in text


def test_traces_and_runs_are_judged_again(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "judge", str(traces / "right"))[0] == 0
    shutil.copytree(traces / "wrong", tmp_path / "cells" / "wrong")
    # What the run said of it counts for nothing.
    cell = CellRecord(framework="torch", version="2.13.0", scenario="sft-ragged", verdict="pass", trace="cells/wrong")
    verdict.write(Verdict(cells=[cell]), tmp_path)
    status, text = told(capsys, "judge", str(tmp_path))
    assert status == 1
    assert "1 FAIL" in text


def test_what_is_found_is_kept_on_request(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a run that an older release made: its verdict and what was recovered are brought up to date."""
    for name in ("right", "wrong"):
        shutil.copytree(traces / name, tmp_path / name)
    cells = [
        CellRecord(framework="torch", version=name, scenario="sft-ragged", verdict="pass", trace=name)
        for name in ("right", "wrong")
    ]
    verdict.write(Verdict(cells=cells, complete=True), tmp_path)
    before = (tmp_path / verdict.FILE).read_bytes()
    assert told(capsys, "judge", str(tmp_path))[0] == 1
    assert (tmp_path / verdict.FILE).read_bytes() == before
    assert told(capsys, "judge", str(tmp_path), "--write")[0] == 1
    found = verdict.read(tmp_path)
    assert [(c.verdict, c.trace) for c in found.cells] == [("pass", "right"), ("fail", "wrong")]
    assert found.complete
    assert [view.scenario for view in found.views] == ["sft-ragged"]
    assert [len(recovered_numbers.read(tmp_path / name)) for name in ("right", "wrong")] == [1, 1]


@pytest.fixture
def run(traces: Path, tmp_path: Path) -> Path:
    """A run of one cell."""
    folder = tmp_path / "run"
    shutil.copytree(traces / "wrong", folder / "cells" / "torch-1.0" / "sft-ragged")
    trace = "cells/torch-1.0/sft-ragged"
    cell = CellRecord(framework="torch", version="1.0", scenario="sft-ragged", verdict="pass", trace=trace)
    verdict.write(Verdict(cells=[cell], complete=True), folder)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.call(arguments)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return status, said.err


@pytest.mark.parametrize(
    "link", ["verdict.json", "cells", "cells/torch-1.0", "cells/torch-1.0/sft-ragged",
             f"cells/torch-1.0/sft-ragged/{recovered_numbers.FILE}"]
)  # fmt: skip
def test_nothing_is_written_behind_a_link(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    outside = tmp_path / "outside"
    if (run / link).exists():
        (run / link).rename(outside)
    (run / link).symlink_to(outside)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, said = refused(capsys, "judge", str(run), "--write")
    refusals = {"verdict.json": (3, "cannot be read (it is a symbolic link)")}  # already by who reads it
    usual = (2, f"{run / link} is a symbolic link, and nothing is written through it; remove the link")
    wanted, words = refusals.get(link, usual)
    assert status == wanted
    assert words in said
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    after.pop(run / claims.FOLDER / CLAIM, None)
    assert after == before


def test_a_run_that_goes_on_is_read_and_not_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / verdict.FILE).read_bytes()
    with alone(run):
        status, said = refused(capsys, "judge", str(run), "--write")
        assert status == 2
        assert f"{run} is being written by another lockstep (process {os.getpid()}, since " in said
        assert told(capsys, "judge", str(run))[0] == 1
    assert (run / verdict.FILE).read_bytes() == before


def test_who_ran_a_cell_and_who_judged_it_may_be_two(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no run that is gone on with takes it for its own."""
    for harness, after in ((identity(), identity()), ("0.0.1+0123456789abcdef", None)):
        before = verdict.read(run)
        cells = [cell.model_copy(update={"harness": harness}) for cell in before.cells]
        verdict.write(before.model_copy(update={"cells": cells}), run)
        told(capsys, "judge", str(run), "--write")
        assert [cell.harness for cell in verdict.read(run).cells] == [after]


def test_a_single_trace_keeps_no_verdict(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["judge", str(traces / "right"), "--write"]) == 2
    assert "give --write the folder of a run" in capsys.readouterr().err


def test_a_trace_is_the_same_as_itself(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = told(capsys, "compare", str(traces / "right"), str(traces / "right"))
    assert status == 0
    assert "the same, bit by bit" in text


def test_two_traces_part_where_they_do(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = told(capsys, "compare", str(traces / "right"), str(traces / "wrong"))
    assert status == 1
    assert "scenario: the same" in text
    assert "they part at step 0" in text
    assert "allowed: 1e-05" in text


def test_an_edited_trace_is_never_compared(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(traces / "right", tmp_path / "edited")
    tensors = tmp_path / "edited" / "tensors" / "step-0001.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    assert cli.call(["compare", str(traces / "right"), str(tmp_path / "edited")]) == 3
    assert "was changed after it was written" in capsys.readouterr().err

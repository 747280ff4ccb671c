"""`lockstep judge` by what somebody else wants, and by nothing at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import INTENT
from adapters.faults import RIGHT, Plan
from harness import cli
from harness.intent import file
from harness.intent.intent import Mean
from harness.intent.of_scenario import of_scenario
from harness.intent.schedule import Schedule
from harness.traces import text_files
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from tests.faults import simulate
from tests.harness import breaking
from tests.harness.judging import wanted

TRACE = "cells/trace"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.call(["judge", *arguments])
    return status, " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.call(["judge", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def wanting(good: Path, path: Path, **changed: object) -> str:
    """A file with the intent of the trace's scenario, changed."""
    path.write_text(file.dumps(replace(of_scenario(text_files.header(good)[1]), **changed)))
    return str(path)


def test_a_trace_is_held_against_a_file(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wanted.json"
    assert told(capsys, str(good), "--intent", wanting(good, path))[0] == 0
    status, text = told(capsys, str(good), "--intent", wanting(good, path, aggregation=Mean("row")))
    assert status == 1
    assert "all tokens weigh alike, though a mean over the sequences, each averaged by itself is intended" in text
    status, text = told(capsys, str(good), "--intent", wanting(good, path, max_grad_norm=0.5))
    assert status == 1
    assert "the gradient is clipped to a norm of 1.0, which should be 0.5" in text
    rising = Schedule("linear-warmup", 4)
    status, text = told(capsys, str(good), "--intent", wanting(good, path, schedule=rising))
    assert status == 1
    assert "the learning rate has no warm-up" in text


@pytest.mark.slow
def test_a_run_is_held_against_another_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate.run(scenarios.get("sft-ragged"), RIGHT, tmp_path / "cells")
    cell = CellRecord(
        framework="torch", version="simulated", scenario="sft-ragged", verdict="pass", trace="cells/trace"
    )
    verdict.write(Verdict(cells=[cell], complete=True), tmp_path)
    assert told(capsys, str(tmp_path), "--like", "sft-ragged")[0] == 0
    status, text = told(capsys, str(tmp_path), "--like", "sft-ragged-decay")
    assert status == 1
    assert "instead of 0.1 applies to 16 tensors, lm_head.weight first" in text


def test_a_scenario_of_another_run_is_refused(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "in its windows, and there are" in refused(capsys, str(good), "--like", "sft-ragged-decay")
    said = refused(capsys, str(good), "--like", "nonsense")
    assert "no scenario 'nonsense'; `lockstep list scenarios` names them" in said


def test_a_trace_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = wanted.made(Plan(level="row"), tmp_path)
    assert cli.call(["judge", str(trace)]) == 1
    capsys.readouterr()
    status, text = told(capsys, str(trace), "--describe")
    assert status == 0
    assert (
        "described torch==simulated on wanted trained are the tokens of the responses: 31 of 75 tokens at step 0"
        in text
    )
    assert ": a mean over the sequences, each averaged by itself, clipped 1." in text
    assert "weight decay 0.1 on 9 matrices, 0 on 3 norms and biases" in text
    assert cli.call(["judge", str(trace), "--describe", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["cells"]
    assert record["described"][2] == "learning rate 0.001 in every step"


def test_a_release_has_no_say_in_what_its_run_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An intent beside a trace counts where the trace stands alone, and not in a run."""
    trace = wanted.made(Plan(level="row"), tmp_path / "cells")
    (trace / INTENT).write_text(file.dumps(wanted.intent(aggregation=Mean("row"))))
    breaking.reseal(trace)
    cell = CellRecord(framework="torch", version="simulated", scenario="wanted", verdict="fail", trace=TRACE)
    verdict.write(Verdict(cells=[cell], complete=True), tmp_path)
    assert told(capsys, str(trace))[0] == 0
    status, text = told(capsys, str(tmp_path))
    assert status == 1
    assert "mean of means" in text
    assert cli.call(["explain", str(trace)]) == 0
    assert "PASS" in capsys.readouterr().out.upper()
    assert cli.call(["explain", str(tmp_path)]) == 0
    assert "mean of means" in " ".join(capsys.readouterr().out.split())


def test_two_answers_to_one_question_are_refused(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give one" in refused(capsys, str(good), "--like", "sft-ragged", "--intent", "wanted.json")
    assert "leave out --intent and --like" in refused(capsys, str(good), "--like", "sft-ragged", "--describe")
    assert "leave out --intent" in refused(capsys, str(good), "--like", "sft-ragged", "--write")
    assert "leave out --intent" in refused(capsys, str(good), "--describe", "--write")


def test_a_file_that_is_no_intent_is_refused(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wanted.json"
    assert "cannot be read" in refused(capsys, str(good), "--intent", str(path))
    path.write_text("{}")
    assert "it has schema None, this release reads 1" in refused(capsys, str(good), "--intent", str(path))
    assert "the intent is of 3 ranks, and 2 ran" in refused(
        capsys, str(good), "--intent", wanting(good, path, ranks=3, windows=None)
    )

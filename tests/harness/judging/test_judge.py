"""What crashes while judging proves nothing: it is told, and is never a pass."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from safetensors.torch import load_file

from adapters.contract import END, steps_file, tensors_file
from adapters.faults import Plan
from harness import cli
from harness.judging import evidence, judge, weigher
from harness.judging.judge import Judgement
from harness.oracle.basis_cache import BasisCache
from harness.traces import text_files
from harness.traces.batch import right_rows
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from tests.faults import simulate
from tests.harness import breaking


def crash(*arguments: object) -> object:
    raise ZeroDivisionError("division\nby zero")


def told(judgement: Judgement, name: str) -> str:
    (message,) = (f.message for f in judgement.findings if f.message.startswith(f"{name} crashed"))
    assert "ZeroDivisionError: division by zero (test_judge.py:" in message
    assert "\n" not in message
    return message


def test_a_right_trace_has_all_its_steps_judged(good: Path, bases: BasisCache) -> None:
    result = judge.judge(good, bases)
    assert (result.findings, result.diagnoses) == ((), ())
    assert [s.step for s in result.steps] == [0, 1]
    assert result.header is not None
    assert result.scenario is not None
    assert (result.header.framework, result.scenario.name) == ("torch", "small")
    assert verdict.outcome(result.findings) == "pass"


def test_a_check_that_crashes_is_unknown(good: Path, bases: BasisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def later(step: evidence.StepEvidence) -> list[object]:
        ran.append(step.step)
        return []

    monkeypatch.setattr(judge, "CHECKS", (crash, later))
    result = judge.judge(good, bases)
    assert [(f.code, f.step) for f in result.findings] == [("run.incomplete", 0), ("run.incomplete", 1)]
    assert all("crash crashed: ZeroDivisionError: division by zero" in f.message for f in result.findings)
    assert verdict.outcome(result.findings) == "unknown"
    assert ran[:2] == [0, 1]  # the checks after it still run


def test_a_check_that_crashes_hides_no_finding(trace: Path, bases: BasisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking.reported(trace, lambda lines: lines[0].update(loss=9.0))
    monkeypatch.setattr(judge, "CHECKS", (crash, *judge.CHECKS))
    result = judge.judge(trace, bases)
    assert "loss.value" in {f.code for f in result.findings}
    assert verdict.outcome(result.findings) == "fail"


def test_a_diagnosis_that_crashes_is_unknown(good: Path, bases: BasisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "diagnose", crash)
    result = judge.judge(good, bases)
    told(result, "diagnose")
    assert verdict.outcome(result.findings) == "unknown"


def test_an_oracle_that_crashes_is_unknown(good: Path, bases: BasisCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weigher, "right_step", crash)
    result = judge.judge(good, bases)
    told(result, "weighing")
    assert verdict.outcome(result.findings) == "unknown"
    assert result.header is not None
    assert result.steps == ()


# ---- the same by the command line


def no_end(trace: Path) -> None:
    (trace / END).unlink()


def truncated(trace: Path) -> None:
    path = trace / tensors_file(1)
    path.write_bytes(path.read_bytes()[:-5])


def newer(trace: Path) -> None:
    breaking.header(trace, lambda head: head.update(schema=99))


def edited(trace: Path) -> None:
    breaking.header(trace, lambda head: head["scenario"]["optimizer"].update(max_grad_norm=5.0))


def not_a_number(trace: Path) -> None:
    breaking.tensors(trace, lambda t: t["exp_avg/model.norm.weight"].fill_(float("nan")))


def missing_tensor(trace: Path) -> None:
    breaking.tensors(trace, lambda t: t.pop("param/model.norm.weight"))


def misshapen(trace: Path) -> None:
    breaking.tensors(trace, lambda t: t.update({"exp_avg/model.norm.weight": t["param/lm_head.weight"].clone()}))


def out_of_vocabulary(trace: Path) -> None:
    breaking.batches(trace, lambda lines: lines[0]["input_ids"][0].__setitem__(0, 9999))


def lost_report(trace: Path) -> None:
    breaking.reported(trace, lambda lines: lines[:1])


def bomb(trace: Path) -> None:
    (trace / steps_file(0)).write_text("[" * 100_000)
    breaking.reseal(trace)


BROKEN = (
    no_end,
    truncated,
    newer,
    edited,
    not_a_number,
    missing_tensor,
    misshapen,
    out_of_vocabulary,
    bomb,
    lost_report,
)


@pytest.mark.parametrize("damage", BROKEN)
@pytest.mark.parametrize("command", ["judge", "explain"])
def test_broken_traces_by_the_command_line(
    trace: Path, capsys: pytest.CaptureFixture[str], damage, command: str
) -> None:
    damage(trace)
    status = cli.call([command, str(trace)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert said.err.count("\n") <= 1
    assert status == 3
    assert "PASS" not in said.out


@pytest.mark.parametrize("damage", BROKEN)
def test_broken_traces_are_not_compared(good: Path, trace: Path, capsys: pytest.CaptureFixture[str], damage) -> None:
    damage(trace)
    for pair in ((good, trace), (trace, good)):
        status = cli.call(["compare", *map(str, pair)])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert "the same, bit by bit" not in said.out
        # Two traces that can be read differ in numbers that are none; the others cannot be read.
        assert status == (1 if damage is not_a_number else 3)
        assert damage is not_a_number or (said.err.startswith("lockstep: ") and said.err.count("\n") == 1)


def test_a_report_that_is_no_number_fails_by_the_command_line(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    breaking.reported(trace, lambda lines: lines[1].update(loss="NaN"))
    assert cli.call(["judge", str(trace), "--json"]) == 1
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    (finding,) = cell["findings"]
    assert (finding["code"], finding["observed"]) == ("loss.value", "NaN")


@pytest.mark.parametrize("told", [77.0, 0.0, "NaN"])
def test_a_reported_learning_rate_that_moved_nothing_fails(
    trace: Path, capsys: pytest.CaptureFixture[str], told: float | str
) -> None:
    breaking.reported(trace, lambda lines: lines[1].update(learning_rate=told))
    assert cli.call(["judge", str(trace), "--json"]) == 1
    cell = json.loads(capsys.readouterr().out)["cells"][0]
    assert [f["code"] for f in cell["findings"]] == ["learning-rate.value"]
    assert [d["cause"] for d in cell["diagnoses"]] == ["misreported"]


def test_weights_that_follow_the_marks_are_no_second_cause(good: Path, tmp_path: Path, bases: BasisCache) -> None:
    """Labels that leave out the second token of each response, and a loss that does: one cause for all findings."""
    _, scenario = text_files.header(good)
    trace = simulate.run(scenario, Plan(mask="no-first"), tmp_path)

    def marked(line: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        masks = [row.loss_mask for row in right_rows(scenario)]
        ids = {row.ids: mask for row, mask in zip(right_rows(scenario), masks, strict=True)}
        right = [ids[tuple(sequence)] for sequence in line["input_ids"]]
        return {**line, "loss_mask": [[int(b and a) for a, b in pairwise((False, *mask))] for mask in right]}

    for rank in range(scenario.window.ranks):
        breaking.batches(trace, lambda lines: [marked(line) for line in lines], rank)
    result = judge.judge(trace, bases)
    (cause,) = result.diagnoses
    assert (cause.cause, cause.kind) == ("loss-mask", "loss-mask: no-first")
    assert {f.code for f in result.findings} <= set(cause.codes)
    left_out = next(f for f in result.findings if f.code == "weights.mask")
    assert "a token of the responses that is left out" in left_out.message
    assert left_out.observed == pytest.approx(0.0, abs=1e-5)
    assert left_out.expected == result.steps[0].clip_expected


def test_tokens_that_take_too_much_memory_are_not_weighed(
    good: Path, bases: BasisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MAX_MEMORY", 1000)
    (finding,) = judge.judge(good, bases).findings
    assert finding.code == "run.incomplete"
    assert "GiB to weigh, and the judge takes at most" in finding.message


@pytest.mark.parametrize("changed", [{"framework": "trl"}, {"scenario_hash": "0" * 16}])
def test_another_cells_trace_is_unknown(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str]
) -> None:
    shutil.copytree(good, tmp_path / "cells" / "one")
    fields = {"framework": "torch", "version": "1", "scenario": "small", "verdict": "pass", "trace": "cells/one"}
    for cell, status in (({}, 0), (changed, 3)):
        verdict.write(Verdict(cells=[CellRecord.model_validate({**fields, **cell})]), tmp_path)
        assert cli.call(["judge", str(tmp_path)]) == status
    assert "is of another cell" in " ".join(capsys.readouterr().out.split())


def test_what_is_kept_in_bfloat16_does_not_excuse_itself(trace: Path, bases: BasisCache) -> None:
    """A norm is rounded in the first step; the update of the second is lost. The trace has it in that dtype."""
    name = "param/model.norm.weight"
    rounded = load_file(trace / tensors_file(1, 0))[name].bfloat16()
    for step in (1, 2):
        for rank in (0, 1):
            breaking.tensors(trace, lambda tensors: tensors.update({name: rounded}), step, rank)
    findings = judge.judge(trace, bases).findings
    (masters,) = (f for f in findings if f.detail.get("what") == "masters")
    assert (masters.code, masters.step, masters.tensor) == ("numerics.dtype", 0, "model.norm.weight")
    assert masters.message.startswith("every element of model.norm.weight after step 0 is a number of bfloat16")
    (rate,) = (f for f in findings if f.code == "update.learning-rate")
    assert (rate.step, rate.tensor, rate.observed) == (1, "model.norm.weight", 0.0)

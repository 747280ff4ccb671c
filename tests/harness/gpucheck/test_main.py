"""The parts one after the other: without a card one line, without time none is begun."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

import pytest

from harness.gpucheck import __main__ as check
from harness.gpucheck.running import Machine, Result
from harness.verdicts.verdict import CellRecord


def test_without_a_card_nothing_is_begun(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_devices", lambda device: 0)
    assert check.main([]) == 2
    assert capsys.readouterr().err == "lockstep: no CUDA device here; run make gpu-check where there is one\n"


@pytest.mark.parametrize("wrong", [["--minutes", "0"], ["--minutes", "nan"], ["--part", "none"], ["--device", "tpu"]])
def test_what_does_not_fit_is_one_line_of_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check.main(wrong)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_part_without_time_is_told_and_not_begun(tmp_path: Path) -> None:
    machine = Machine("cpu", 1, 1, tmp_path / "none", {})
    results = list(check._parts(machine, None, time.monotonic() + 1))
    assert {result.outcome for result in results} == {"unknown"}
    assert [result.part for result in results][-2:] == ["recording", "own Adam"]
    (result,) = check._parts(machine, ["recording"], time.monotonic())
    assert result.part == "recording"


def test_traces_of_what_is_wrong_are_packed_and_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check, "WORK", tmp_path / "work")
    cells = []
    for name, outcome in (("right", "pass"), ("wrong", "fail")):
        folder = tmp_path / "work" / "torch" / name
        folder.mkdir(parents=True)
        (folder / "header.json").write_text(name)
        cells.append(
            CellRecord.model_validate(
                {"framework": "torch", "version": "2", "scenario": name, "verdict": outcome, "trace": f"torch/{name}"}
            )
        )
    (tmp_path / "work" / "torch.log").write_text("all that it said")
    check._pack([Result("torch", "torch", "FAIL", "", 1.0, None, tuple(cells))], tmp_path / "details.tar.gz")
    with tarfile.open(tmp_path / "details.tar.gz") as found:
        assert found.getnames() == ["torch.log", "torch/wrong/header.json"]

"""`lockstep validate`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from harness import cli
from harness.commands import validate
from harness.validation.record import Plan, Validation
from tests.harness.validation import written
from tests.reports.validation import made


def test_what_would_not_start_fails_and_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is built for it."""
    written.file(tmp_path, "ds.json", {**written.ENGINE, "gradient_accumulation_steps": 3})
    out = tmp_path / "out"
    line = ["validate", str(written.file(tmp_path, "sft.yaml", written.FACTORY)), "--with", str(tmp_path / "ds.json")]
    assert cli.call([*line, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "  would not start: " in told.out
    assert told.out.endswith("\nFAIL\n")
    assert "\x1b" not in told.out
    assert {path.name for path in out.iterdir()} == {"validation.json", "validation.md", "validation.html", "badge.svg"}
    assert Validation.model_validate_json((out / "validation.json").read_text()).outcome == "fail"
    assert cli.call([*line, "--out", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "plainly", "strictly"),
    [
        (made.validation(), 0, 3),
        (made.validation(not_covered=[made.ALWAYS]), 0, 0),
        (made.failing(), 1, 1),
        (made.unknown(), 3, 3),
    ],
    ids=["pass", "pass but for what no recording tells", "fail", "unknown"],
)
def test_the_exit_status(found: Validation, plainly: int, strictly: int) -> None:
    assert (concluded(found, strict=False), concluded(found, strict=True)) == (plainly, strictly)


def concluded(found: Validation, strict: bool) -> int:
    try:
        validate.conclude(found, strict)
    except typer.Exit as end:
        return end.exit_code
    return 0


def test_it_is_told_in_three_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "validate",
        str(written.file(tmp_path, "sft.yaml", written.FACTORY)),
        "--plan",
        "--world",
        "8",
        "--rows",
        "9999",
    ]
    assert cli.call(line) == 0
    said = capsys.readouterr().out
    assert "global batch   2 a micro-batch x 4 accumulated x 8 ranks = 64 sequences" in said
    assert said.endswith("\nNothing was run.\n")
    assert cli.call([*line, "--format", "json"]) == 0
    told = Plan.model_validate(json.loads(capsys.readouterr().out))
    assert len(told.ledger) == len(written.FACTORY)
    assert cli.call([*line, "--format", "markdown"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Configuration: llamafactory")
    assert "| learning_rate | 2e-05 | kept |" in page


def test_versions_are_read_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("# mine\ntrl[peft]==0.18.0\ntorch>=2\n")
    line = ["validate", str(written.file(tmp_path, "sft.yaml", written.TRL)), "--plan", "--versions", str(pins)]
    assert cli.call(line) == 0
    assert "of those that are known the nearest to trl 0.18.0 (pinned in requirements.txt)" in capsys.readouterr().out
    pins.write_text('requires = [\n    "trl==0.23.0",\n    "torch>=2",\n]\n')
    assert cli.call(line) == 0
    assert "options of trl 0.23.1, of those that are known the nearest to trl 0.23.0" in capsys.readouterr().out
    pins.write_text("torch>=2\n")
    assert cli.call(line) == 2
    assert "pins nothing" in capsys.readouterr().err
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "trl"\nversion = "0.16.1"\n')
    assert cli.call(line[:3]) == 0
    assert "options of trl 0.16.1 (pinned in uv.lock)" in capsys.readouterr().out


def test_the_page_shows_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, but for those that it leaves out."""
    monkeypatch.chdir(tmp_path)
    written.file(tmp_path, "sft.yaml", {**written.FACTORY, "weight_decay": 0.1})
    written.file(tmp_path, "ds.json", {**written.ENGINE, **written.WARMUP})
    text = (Path(__file__).parents[3] / "docs" / "validate.md").read_text()
    shown = text.partition("`--plan` says it")[2].partition("    lockstep validate")[2].partition("Without `--plan`")[0]
    lines = shown.splitlines()
    assert cli.call(["validate", *lines[0].split()]) == 0
    said = capsys.readouterr().out.splitlines()
    for line in lines[1:]:
        assert line.strip() == "..." or line.removeprefix("    ") in said


def test_a_script_gets_a_variable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run_sft.sh").write_text("torchrun sft.py --learning_rate $lr --max_steps 10\n")
    line = ["validate", "--plan", "--", "bash", str(tmp_path / "run_sft.sh")]
    assert cli.call(line) == 2
    assert "does not say what these are, and nothing of it is run: $lr;" in capsys.readouterr().err
    assert cli.call([*line[:3], "lr=1e-5", *line[3:]]) == 0
    assert "learning rate  1e-05" in capsys.readouterr().out


def test_a_command_stands_behind_two_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    line = "validate --plan -- torchrun --nproc_per_node 2 -m verl.trainer.sft_trainer optim.lr=3e-4"
    assert cli.call(line.split()) == 0
    assert "learning rate  0.0003" in capsys.readouterr().out


def test_strictly_nothing_may_be_uncovered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key, a part of the step, or a file that was not given."""
    for values, count in (
        ({}, 0),
        ({"tf32": True}, 1),
        ({"deepspeed": "ds.json"}, 1),
        ({"lr_scheduler_type": "inverse_sqrt", "tf32": True}, 2),
    ):
        place = written.file(tmp_path, "sft.yaml", {**written.FACTORY, **values})
        assert cli.call(["validate", "--plan", "--strict", str(place)]) == (3 if count else 0)
        assert capsys.readouterr().err == (f"lockstep: --strict: {count} not covered\n" if count else "")


def test_a_plan_for_cuda_keeps_what_needs_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {**written.FACTORY, "model_name_or_path": "google/gemma-2-2b", "enable_liger_kernel": True}
    line = ["validate", str(written.file(tmp_path, "sft.yaml", values)), "--plan", "--format", "json"]
    told = {}
    for device in ("cpu", "cuda"):
        assert cli.call([*line, "--device", device]) == 0
        told[device] = Plan.model_validate_json(capsys.readouterr().out)
    assert {row.key for row in told["cpu"].ledger if row.word == "swapped"} >= {"enable_liger_kernel"}
    assert not [row for row in told["cuda"].ledger if row.word == "swapped"]
    assert "on 2 CUDA devices" in told["cuda"].run[0]
    assert "on 2 ranks of a CPU" in told["cpu"].run[0]

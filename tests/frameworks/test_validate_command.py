"""`lockstep validate` as it is typed, on a real release, and the report that it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli
from harness.validation.record import Validation
from reports.validation.faces import faces
from tests.harness.validation import written

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

CONFIGURATION = {
    "model_name_or_path": "somebody/Qwen2.5-0.5B",
    "dataset_name": "somebody/rows",
    "max_length": 1024,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-5,
    "num_train_epochs": 1,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 10,
    "weight_decay": 0.1,
    "max_grad_norm": 0.5,
}


def test_a_configuration_runs_to_a_verdict_and_its_report(
    tmp_path: Path, environments: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """--strict: what no recording tells, whatever it is of, leaves the status at 0."""
    pins, out = tmp_path / "requirements.txt", tmp_path / "out"
    pins.write_text("trl==1.16.0\n")
    sft = str(written.file(tmp_path, "sft.yaml", CONFIGURATION))
    more = ("--world", "8", "--rows", "16000", "--versions", str(pins), "--envs", str(environments))
    assert cli.call(["validate", sft, "--strict", *more, "--out", str(out)]) == 0
    told = capfd.readouterr().out
    found = Validation.model_validate_json((out / "validation.json").read_text())
    assert found.outcome == "pass"
    assert told.splitlines()[-1] == found.verdict
    assert {path.name for path in out.iterdir()} >= {*faces(found), "first", "whole"}
    assert {run.name: run.steps for run in found.runs} == {"first": [0, 1, 2], "whole": [*range(8)]}
    recovered = {part.what: part.recovered for part in found.plan.step}
    assert not [part for part in found.plan.step if part.differs]
    assert recovered["global batch"] == "1 a micro-batch x 2 accumulated x 2 ranks, shrunk"
    assert recovered["aggregation"] == "a mean over the tokens of the window"
    assert recovered["clipping"] == "at a norm of 0.5"
    assert (recovered["schedule"] or "").endswith(" as expected, over 8 steps")
    assert (recovered["decay"] or "").startswith("0.1")

"""Users' configurations, run small by the frameworks' own entry points, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.validation.record import Validation
from reports.validation.faces import faces
from tests.frameworks.validated import FACTORY, OFFLOAD, TRL, validated
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


@pytest.mark.exhaustive
def test_a_good_configuration_passes_and_says_what_is_not_covered(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, FACTORY, written.ENGINE, "--world", "8", "--rows", "64000")
    assert done.status == 0, done.printed + done.said
    record = done.record
    assert record.verdict.startswith("pass, ")
    assert record.verdict.endswith(" not covered")
    assert done.printed.splitlines()[-1] == record.verdict
    assert [run.steps for run in record.runs] == [[0, 1, 2], list(range(8))]
    assert "the schedule over 6000" in record.runs[0].says
    recovered = {part.what: part.recovered for part in record.plan.step}
    assert recovered["global batch"] == "1 a micro-batch x 4 accumulated x 2 ranks, shrunk"
    assert recovered["clipping"] == "at a norm of 1"


@pytest.mark.exhaustive
def test_a_schedule_in_deepspeeds_configuration_is_late(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, FACTORY, {**written.ENGINE, **written.WARMUP})
    assert done.status == 1, done.printed + done.said
    assert done.causes == ["learning-rate-schedule"]
    assert "late" in done.record.causes[0].says
    assert "leave the section scheduler out" in (done.record.causes[0].remedy or "")


@pytest.mark.exhaustive
def test_a_release_that_drops_micro_batches(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, TRL, OFFLOAD, versions="trl==1.16.0\ndeepspeed==0.18.9\n")
    assert done.status == 1, done.printed + done.said
    assert "dropped-micro-batches" in done.causes
    assert "deepspeed>=0.19.8" in done.printed


@pytest.mark.exhaustive
def test_ranks_that_average_by_themselves(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, {**TRL, "average_tokens_across_devices": True}, versions="trl==0.18.1\n")
    other = tmp_path / "other"
    other.mkdir()
    alone = validated(other, environments, TRL, versions="trl==0.18.1\n")
    assert done.status == 0, done.printed + done.said
    assert "a mean over the ranks" in next(
        part.configured for part in alone.record.plan.step if part.what == "aggregation"
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("changed", "what", "told"),
    [
        ({"max_grad_norm": 0.1}, "clipping", "at a norm of 0.1"),
        ({"max_grad_norm": 0.0}, "clipping", "none seen"),
        ({"adam_beta2": 0.95}, "optimizer", "betas 0.9 and 0.95"),
        ({"gradient_accumulation_steps": 2}, "global batch", "1 a micro-batch x 2 accumulated x 2 ranks"),
    ],
)
def test_what_is_configured_is_recovered(
    tmp_path: Path, environments: Path, changed: dict[str, Any], what: str, told: str
) -> None:
    done = validated(tmp_path, environments, {**FACTORY, **changed})
    assert done.status == 0, done.printed + done.said
    assert told in (next(part.recovered for part in done.record.plan.step if part.what == what) or "")


def test_what_would_not_start_is_not_run(tmp_path: Path, environments: Path) -> None:
    done = validated(tmp_path, environments, FACTORY, {**written.ENGINE, "gradient_accumulation_steps": 2})
    assert done.status == 1
    assert "would not start: gradient_accumulation_steps 2 in ds.json is not the" in done.printed
    assert not done.record.runs

"""What frameworks around the Trainer are given in a small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.validation import plan, reading
from harness.validation.small.kept import keep
from harness.validation.small.makers import MAKERS
from harness.validation.small.place import Place, Small
from tests.harness.validation import written

OFFLOAD = {
    **written.ENGINE,
    "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme", "nvme_path": "/x"}},
}


def made(
    folder: Path, values: dict[str, Any], engine: dict[str, Any] | None = None, number: int = 0, *words: str
) -> Small:
    """The first of its small runs, or another one."""
    beside = () if engine is None else (written.file(folder, "ds.json", engine),)
    read = reading.read([str(written.file(folder, "sft.yaml", values)), *words], beside, 8)
    step, release, _ = plan.step(read, {}, None)
    run = plan.small_runs(read, step)[number]
    return MAKERS[read.family].small(keep(read, release), run, Place(folder / "run", folder / "model"))


def arguments(small: Small) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        next(text for name, text in small.files.items() if name.startswith("train."))
    )
    return dict(found.get("arguments", found))


@pytest.mark.parametrize("values", [written.FACTORY, written.TRL], ids=["llamafactory", "trl"])
def test_what_decides_a_step_is_kept_and_the_rest_is_quiet(tmp_path: Path, values: dict[str, Any]) -> None:
    found = arguments(made(tmp_path, values))
    assert found["learning_rate"] == values["learning_rate"]
    assert found["lr_scheduler_type"] == values["lr_scheduler_type"]
    assert found["per_device_train_batch_size"] == values["per_device_train_batch_size"]
    assert found["model_name_or_path"] == str(tmp_path / "model")
    assert found["report_to"] == "none"
    assert found["use_cpu"]
    assert "num_train_epochs" not in found


def test_the_schedule_is_that_of_the_training_and_then_that_of_eight_steps(tmp_path: Path) -> None:
    first, whole = (arguments(made(tmp_path, written.TRL, None, number)) for number in (0, 1))
    assert (first["max_steps"], first["warmup_steps"]) == (1000, 100)
    assert (whole["num_train_epochs"], whole["warmup_steps"]) == (2, 1)


def test_a_ratio_of_a_warmup_becomes_steps_where_it_would_be_rounded(tmp_path: Path) -> None:
    values = {**written.FACTORY, "warmup_ratio": 0.3}
    first, whole = (arguments(made(tmp_path, values, None, number)) for number in (0, 1))
    assert first["warmup_ratio"] == 0.3
    assert whole["warmup_steps"] == 2
    assert "warmup_ratio" not in whole


@pytest.mark.parametrize(
    ("clipping", "first", "whole"), [("auto", "auto", "auto"), (0.5, 0.5, 500), (None, None, 1000)]
)
def test_clipping_is_lifted_in_the_second_run(tmp_path: Path, clipping: Any, first: Any, whole: Any) -> None:
    """Also where DeepSpeed clips without being told to; its own word and the Trainer's must be the same."""
    engine = {key: value for key, value in written.ENGINE.items() if key != "gradient_clipping"}
    engine |= {} if clipping is None else {"gradient_clipping": clipping}
    values = {**written.FACTORY, "max_grad_norm": 0.5}
    before, after = (arguments(made(tmp_path, values, engine, number)) for number in (0, 1))
    assert (before["max_grad_norm"], before["deepspeed"].get("gradient_clipping")) == (0.5, first)
    assert after["deepspeed"]["gradient_clipping"] == whole
    assert after["max_grad_norm"] == (1000 if clipping is None else 500)


def test_kernels_that_need_a_gpu_are_swapped(tmp_path: Path) -> None:
    found = arguments(made(tmp_path, written.TRL))
    assert found["optim"] == "adamw_torch"
    assert found["attn_implementation"] == "sdpa"


def test_deepspeeds_configuration_is_the_users_but_for_sizes_and_disks(tmp_path: Path) -> None:
    small = made(tmp_path, written.FACTORY, {**OFFLOAD, **written.WARMUP, "train_batch_size": 64})
    engine = arguments(small)["deepspeed"]
    assert small.given.stage == 3
    assert engine["train_batch_size"] == "auto"
    assert engine["zero_optimization"] == {"stage": 3, "offload_optimizer": {"device": "cpu"}}
    assert engine["optimizer"]["params"]["torch_adam"]
    assert engine["scheduler"] == written.WARMUP["scheduler"]


def test_a_warmup_in_deepspeeds_configuration_is_scaled_too(tmp_path: Path) -> None:
    params = {**written.WARMUP["scheduler"]["params"], "warmup_num_steps": 500}
    engine = {**written.ENGINE, "scheduler": {"type": "WarmupLR", "params": params}}
    said = [arguments(made(tmp_path, written.FACTORY, engine, n))["deepspeed"]["scheduler"] for n in (0, 1)]
    assert [one["params"]["warmup_num_steps"] for one in said] == [500, 4]


def test_a_small_number_stays_one(tmp_path: Path) -> None:
    """JSON's 1e-05 is a text in YAML."""
    assert arguments(made(tmp_path, {**written.FACTORY, "learning_rate": 1e-5}))["learning_rate"] == 1e-5


def test_rows_are_as_the_framework_reads_them(tmp_path: Path) -> None:
    rows = json.loads(made(tmp_path, written.FACTORY).files["rows.json"])
    assert {"instruction", "output", "history"} == set(rows[0])
    lines = made(tmp_path, written.TRL).files["rows/train.jsonl"].splitlines()
    assert set(json.loads(lines[0])) == {"messages"}
    lines = made(tmp_path, {**written.TRL, "completion_only_loss": True}).files["rows/train.jsonl"].splitlines()
    assert set(json.loads(lines[0])) == {"prompt", "completion"}


def test_axolotls_keys_have_the_names_of_the_trainer(tmp_path: Path) -> None:
    small = made(tmp_path, written.AXOLOTL)
    assert small.given.program == "adapters.given.plain_trainer"
    kept = keep(reading.read([str(tmp_path / "sft.yaml")], (), 2), None).values
    assert kept["per_device_train_batch_size"] == 2
    assert kept["lr_scheduler_type"] == "cosine"

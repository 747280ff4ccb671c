"""What frameworks around the Trainer are given in a small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.contract import LIGER, Device
from harness.validation import plan, reading
from harness.validation.known.pins import Pins
from harness.validation.record import KeyRecord
from harness.validation.small.kept import BITSANDBYTES, keep, needed
from harness.validation.small.makers import MAKERS
from harness.validation.small.place import Place, Small
from tests.harness.validation import written

OFFLOAD = {
    **written.ENGINE,
    "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme", "nvme_path": "/x"}},
}


def made(
    folder: Path,
    values: dict[str, Any],
    engine: dict[str, Any] | None = None,
    number: int = 0,
    *words: str,
    device: Device = "cpu",
) -> Small:
    """The first of its small runs, or another one."""
    beside = () if engine is None else (written.file(folder, "ds.json", engine),)
    read = reading.read([str(written.file(folder, "sft.yaml", values)), *words], beside, 8)
    read = plan.on(read, {}, device, folder)
    step, release, _ = plan.step(read, {}, None)
    run = plan.small_runs(read, step)[number]
    kept = keep(read, release)
    place = Place(folder / "run", folder / "model")
    return MAKERS[read.family].small(kept.of(run), run, place)


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


LIGERS = [
    ({**written.FACTORY, "enable_liger_kernel": True}, "enable_liger_kernel"),
    ({**written.TRL, "use_liger_kernel": True}, "use_liger_kernel"),
]


@pytest.mark.parametrize(("values", "key"), LIGERS, ids=["llamafactory", "trl"])
def test_liger_is_in_the_first_run_alone_under_tritons_interpreter(
    tmp_path: Path, values: dict[str, Any], key: str
) -> None:
    first, whole = (made(tmp_path, values, None, number) for number in (0, 1))
    assert (first.given.liger, whole.given.liger) == (True, False)
    assert (arguments(first)[key], arguments(whole)[key]) == (True, False)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"model_name_or_path": "google/gemma-2-2b"}, "does not run its kernels for gemma2"),
        ({"per_device_train_batch_size": 64}, "is too slow for 64 rows a micro-batch"),
    ],
)
def test_where_the_interpreter_cannot_liger_is_swapped(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    values = {**written.FACTORY, "enable_liger_kernel": True, **changed}
    small = made(tmp_path, values)
    assert not small.given.liger
    assert arguments(small)["enable_liger_kernel"] is False
    row = ledger_row(tmp_path, values, "enable_liger_kernel")
    assert row.word == "swapped"
    assert "a fault inside Liger would not show" in (row.why or "")
    assert why in (row.why or "")


def ledger_row(folder: Path, values: dict[str, Any], key: str, device: Device = "cpu") -> KeyRecord:
    read = reading.read([str(written.file(folder, "sft.yaml", values))], (), 8)
    told = plan.made(plan.on(read, {}, device, folder), Pins({}), None)
    return next(row for row in told.ledger if row.key == key)


GPU = {"optim": "adamw_torch_fused", "enable_liger_kernel": True, "flash_attn": "fa2", "ddp_backend": "nccl"}


@pytest.mark.parametrize("key", GPU)
def test_on_cuda_what_needs_a_gpu_is_kept(tmp_path: Path, key: str) -> None:
    values = {**written.FACTORY, "model_name_or_path": "google/gemma-2-2b", **GPU}
    assert ledger_row(tmp_path, values, key).word == "swapped"
    kept = ledger_row(tmp_path, values, key, "cuda")
    assert (kept.word, kept.to, kept.why) == ("kept", None, None)


def test_on_cuda_nothing_of_a_cpu_is_given(tmp_path: Path) -> None:
    engine = {**OFFLOAD, "optimizer": {"type": "AdamW", "params": {"lr": 1e-5}}}
    values = {**written.FACTORY, **GPU}
    small = made(tmp_path, values, engine, device="cuda")
    found = arguments(small)
    assert (small.given.device, small.given.liger) == ("cuda", True)
    assert {key: found[key] for key in GPU} == GPU
    assert "use_cpu" not in found
    assert "torch_adam" not in found["deepspeed"]["optimizer"]["params"]
    assert "zero_force_ds_cpu_optimizer" not in found["deepspeed"]
    assert found["deepspeed"]["zero_optimization"] == engine["zero_optimization"]
    assert made(tmp_path, values, engine, 1, device="cuda").given.liger


def test_on_cuda_triton_is_torchs_own(tmp_path: Path) -> None:
    read = reading.read([str(written.file(tmp_path, "sft.yaml", {**written.FACTORY, **GPU}))], (), 8)
    asked = needed(keep(plan.on(read, {}, "cuda", tmp_path), None))
    assert asked == {"liger-kernel": LIGER["liger-kernel"]}


def test_liger_is_kept_under_the_interpreter_and_says_so(tmp_path: Path) -> None:
    row = ledger_row(tmp_path, LIGERS[0][0], "enable_liger_kernel")
    assert (row.word, row.why) == ("kept", "under Triton's interpreter, in the run of the first steps alone")


@pytest.mark.parametrize(
    ("values", "packages"),
    [
        (written.TRL, {}),
        ({**written.TRL, "use_liger_kernel": True}, LIGER),
        ({**written.TRL, "optim": "paged_adamw_8bit"}, BITSANDBYTES),
    ],
)
def test_an_environment_has_what_its_options_need(
    tmp_path: Path, values: dict[str, Any], packages: dict[str, str]
) -> None:
    read = plan.on(reading.read([str(written.file(tmp_path, "sft.yaml", values))], (), 8), {}, "cpu", tmp_path)
    assert needed(keep(read, None)) == packages


@pytest.mark.parametrize(("transformers", "liger"), [("4.57.1", "0.5.10"), ("5.0.0", LIGER["liger-kernel"])])
def test_liger_is_of_transformers_time(tmp_path: Path, transformers: str, liger: str) -> None:
    read = plan.on(reading.read([str(written.file(tmp_path, "sft.yaml", LIGERS[1][0]))], (), 8), {}, "cpu", tmp_path)
    assert needed(keep(read, None), transformers)["liger-kernel"] == liger


def test_an_optimizer_of_bitsandbytes_is_in_the_first_run_and_a_plain_one_tells_the_rates(tmp_path: Path) -> None:
    values = {**written.TRL, "optim": "paged_adamw_8bit", "lr_scheduler_type": "constant"}
    first, whole = (arguments(made(tmp_path, values, None, number)) for number in (0, 1))
    assert (first["optim"], whole["optim"]) == ("paged_adamw_8bit", "adamw_torch")
    row = ledger_row(tmp_path, values, "optim")
    assert row.why == "by what bitsandbytes has for CPUs, unpaged, in the run of the first steps alone"

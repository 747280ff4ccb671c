"""What is known of pinned releases, by configurations that would show it and by those that would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.judging.diagnosis import upstream
from harness.validation.known.pins import Pins
from reports.validation import markdown
from tests.harness.validation import written
from tests.reports.validation import made

OFFLOAD = {**written.ENGINE, "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}
SCHEDULED = {**written.ENGINE, **written.WARMUP}
FSDP2 = {"distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}, "num_processes": 2}
BARE = {**written.ENGINE, "zero_optimization": {"stage": 0}, "bf16": {"enabled": True}}


def causes(folder: Path, pins: dict[str, str], values: dict[str, Any], beside: dict[str, Any] | None) -> set[str]:
    place = written.file(folder, "sft.yaml", {**written.FACTORY, **values})
    files = (written.file(folder, "beside.json", beside),) if beside else ()
    told = written.of(str(place), beside=files, pins=Pins(pins, "here"))
    return {f"{said.split()[0]} {said.split()[2]}" for said in told.known}


@pytest.mark.parametrize(
    ("pins", "values", "beside", "found"),
    [
        ({"deepspeed": "0.18.9"}, {}, OFFLOAD, {"deepspeed dropped-micro-batches"}),
        ({"deepspeed": "0.19.8"}, {}, OFFLOAD, set()),
        ({"deepspeed": "0.15.1"}, {}, OFFLOAD, set()),
        ({}, {}, OFFLOAD, set()),
        ({"deepspeed": "0.18.9"}, {"gradient_accumulation_steps": 2}, OFFLOAD, set()),
        ({"deepspeed": "0.18.9"}, {}, written.ENGINE, set()),
        ({"deepspeed": "0.18.2"}, {}, written.ENGINE, {"deepspeed dropped-micro-batches"}),
        ({"deepspeed": "0.18.9"}, {}, None, set()),
        ({"deepspeed": "0.18.9"}, {"deepspeed": "not-there.json"}, None, set()),
        ({"deepspeed": "0.19.8"}, {}, SCHEDULED, {"deepspeed learning-rate-schedule"}),
        ({"deepspeed": "0.15.2"}, {}, SCHEDULED, set()),
        ({"deepspeed": "0.18.9"}, {}, BARE, {"deepspeed bias-correction"}),
        ({"deepspeed": "0.18.9"}, {"weight_decay": 0.1}, BARE,
         {"deepspeed bias-correction", "deepspeed decayed-before-training"}),
        ({"transformers": "4.52.3", "llamafactory": "0.9.3"}, {}, None, {"transformers mean-of-means"}),
        ({"transformers": "4.52.3"}, {"average_tokens_across_devices": True}, None, set()),
        ({"transformers": "4.57.1"}, {"train_on_prompt": True}, None, {"transformers gradient-scale"}),
        ({"transformers": "4.57.1"}, {}, None, set()),
        ({"transformers": "4.45.2"}, {}, None, {"transformers mean-of-means"}),
        ({"transformers": "4.45.2"}, {"gradient_accumulation_steps": 1}, None, {"transformers mean-of-means"}),
        ({"transformers": "4.48.0", "liger-kernel": "0.3.1"}, {"enable_liger_kernel": True},
         None, {"transformers mean-of-means", "transformers gradient-scale", "liger-kernel mean-of-means",
                "liger-kernel gradient-scale"}),
        ({"liger-kernel": "0.3.1"}, {"enable_liger_kernel": True}, None, set()),
        ({"llamafactory": "0.9.5"}, {"train_on_prompt": True, "packing": True}, None, {"llamafactory loss-mask"}),
        ({"llamafactory": "0.9.5"}, {"train_on_prompt": True}, None, set()),
        ({"transformers": "5.20.0"}, {"label_smoothing_factor": 0.1}, FSDP2, {"transformers labels-unshifted"}),
        ({"transformers": "5.14.0"}, {"label_smoothing_factor": 0.1}, None,
         {"transformers mean-of-means", "transformers gradient-scale"}),
    ],
)  # fmt: skip
def test_what_is_known_of_a_trainer(
    tmp_path: Path, pins: dict[str, str], values: dict[str, Any], beside: dict[str, Any] | None, found: set[str]
) -> None:
    assert causes(tmp_path, pins, values, beside) == found


@pytest.mark.parametrize(
    ("line", "pins", "found"),
    [
        ("deepspeed --module openrlhf.cli.train_sft --zero_stage 2 --adam_offload --micro_train_batch_size 1",
         {"openrlhf": "0.8.3", "deepspeed": "0.16.9"}, ["dropped-micro-batches", "mean-of-means"]),
        ("deepspeed --module openrlhf.cli.train_sft --ds.zero_stage 2 --ds.adam_offload --train.micro_batch_size 1",
         {"openrlhf": "0.11.2", "deepspeed": "0.18.9"}, ["dropped-micro-batches"]),
        ("deepspeed --module openrlhf.cli.train_sft --ds.zero_stage 3 --ds.adam_offload",
         {"openrlhf": "0.11.2", "deepspeed": "0.18.9"}, []),
        ("torchrun -m verl.trainer.fsdp_sft_trainer data.train_batch_size=16",
         {"verl": "0.5.0"}, ["mean-of-means", "gradient-scale"]),
        ("torchrun -m verl.trainer.fsdp_sft_trainer data.train_batch_size=16 data.multiturn.enable=true",
         {"verl": "0.5.0"}, ["mean-of-means", "gradient-scale", "loss-mask"]),
        ("torchrun -m verl.trainer.fsdp_sft_trainer", {"verl": "0.6.1"}, ["mean-of-means", "loss-mask"]),
        ("torchrun -m verl.trainer.sft_trainer", {"verl": "0.9.1"}, []),
        ("torchrun train.py --max_steps 3", {"transformers": "4.48.0"}, ["mean-of-means", "mean-of-means"]),
    ],
)  # fmt: skip
def test_what_is_known_of_others(line: str, pins: dict[str, str], found: list[str]) -> None:
    told = written.of(*line.split(), pins=Pins(pins, "here"))
    assert [said.split()[2] for said in told.known] == found


def test_it_stands_above_the_step_with_its_remedy(tmp_path: Path) -> None:
    beside = (written.file(tmp_path, "ds.json", OFFLOAD),)
    place = written.file(tmp_path, "sft.yaml", written.FACTORY)
    told = written.of(str(place), beside=beside, pins=Pins({"deepspeed": "0.18.9"}, "uv.lock"))
    lines = made.shown(told).splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("  known: deepspeed 0.18.9 dropped"))
    assert at < lines.index("the effective step, as configured")
    assert "use deepspeed>=0.19.8" in lines[at]
    assert "**Known:** deepspeed 0.18.9" in markdown.page(told)


def test_what_takes_a_run_or_leaves_the_training_right_is_not_told_by_reading() -> None:
    for entry in upstream.entries():
        needs_a_run = (entry.engine_output, entry.processor, entry.default_system, entry.trailing_space)
        if entry.cause == "misreported" or entry.architecture or any(each is not None for each in needs_a_run):
            assert entry.configured is None

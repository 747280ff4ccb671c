"""verl's command lines, run small by its own trainers, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.validation import reading
from harness.validation.known.pins import Pins
from harness.validation.record import Validation
from harness.validation.validate import Wish, validate

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(900)]

OLD = (
    "verl.trainer.fsdp_sft_trainer data.train_files=x.parquet data.prompt_key=extra_info data.response_key=extra_info"
    " optim.lr=1e-4 data.prompt_dict_keys=['question'] +data.response_dict_keys=['answer'] data.train_batch_size=64"
    " data.micro_batch_size_per_gpu=2 model.partial_pretrain=Qwen/Qwen2.5-0.5B-Instruct trainer.total_epochs=1"
)
NEW = (
    "verl.trainer.sft_trainer data.train_files=x.parquet data.train_batch_size=128 data.use_dynamic_bsz=True"
    " data.max_token_len_per_gpu=2048 data.pad_mode=no_padding data.truncation=error data.messages_key=messages"
    " model.path=Qwen/Qwen2.5-0.5B-Instruct model.use_remove_padding=True engine=fsdp engine.strategy=fsdp2"
    " optim.lr=1e-5 optim.lr_warmup_steps_ratio=0.2 optim.lr_scheduler_type=cosine optim.min_lr_ratio=0.1"
)


def validated(folder: Path, environments: Path, words: str, version: str) -> Validation:
    told = reading.read(["--", "torchrun", "--nproc_per_node=8", "-m", *words.split()], [], 8)
    return validate(Wish(told, Pins({"verl": version}), 7473, folder, environments, folder, "here"), print)


def test_the_new_trainer_is_right_with_rows_put_together_by_tokens(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, NEW, "0.9.1")
    assert [finding.message for finding in told.findings] == []
    assert told.outcome == "pass"
    assert any("flash attention" in said for said in told.not_covered)


@pytest.mark.exhaustive
def test_the_old_trainer_averages_means_and_shifts_the_mask(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, OLD, "0.6.1")
    assert {cause.cause for cause in told.causes} == {"loss-mask", "mean-of-means"}

"""OpenRLHF's command lines, run small by its own entry point, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.validation import reading
from harness.validation.known.pins import Pins
from harness.validation.record import Validation
from harness.validation.validate import Wish, validate

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(900)]

FLAT = (
    "--pretrain Qwen/Qwen2.5-Math-7B --dataset somebody/rows --max_len 16384 --input_key prompt --output_key target"
    " --train_batch_size 64 --apply_chat_template --micro_train_batch_size 1 --zero_stage 2 --max_epochs 3 --bf16"
    " --packing_samples --flash_attn --learning_rate 5e-5 --lr_warmup_ratio 0.1 --gradient_checkpointing"
)
DOTTED = (
    "--model.model_name_or_path Qwen/Qwen2.5-7B --data.dataset somebody/rows --data.input_key question"
    " --data.output_key response --train.batch_size 64 --train.micro_batch_size 1 --adam.lr 5e-5"
    " --lr_scheduler constant --lr_warmup_ratio 0"
)


def validated(folder: Path, environments: Path, words: str, **pinned: str) -> Validation:
    told = reading.read(["--", "deepspeed", "--module", "openrlhf.cli.train_sft", *words.split()], [], 8)
    return validate(Wish(told, Pins(pinned), 46_000, folder, environments, folder, "here"), print)


def test_offload_drops_micro_batches_and_each_is_averaged_by_itself(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, f"{FLAT} --adam_offload", openrlhf="0.8.3")
    assert told.outcome == "fail"
    assert [cause.cause for cause in told.causes] == ["dropped-micro-batches", "mean-of-means"]
    assert all(cause.remedy for cause in told.causes)
    assert any("packing" in said for said in told.not_covered)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("more", "causes"),
    [("", []), ("--max_norm 0", []), ("--adam.betas 0.8 0.99", []), ("--model.pretrain_mode_enable", [])],
    ids=["plain", "unclipped", "betas", "prompts"],
)
def test_the_newest_is_right(tmp_path: Path, environments: Path, more: str, causes: list[str]) -> None:
    told = validated(tmp_path, environments, f"{DOTTED} {more}", openrlhf="0.11.2")
    assert [cause.cause for cause in told.causes] == causes
    assert told.outcome == "pass"

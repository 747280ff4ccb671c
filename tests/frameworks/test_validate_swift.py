"""ms-swift's commands, run small by its own entry point, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.validation import reading
from harness.validation.known.pins import Pins
from harness.validation.record import Validation
from harness.validation.validate import Wish, validate

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(900)]

FULL = (
    "--tuner_type full --torch_dtype bfloat16 --per_device_train_batch_size 2 --gradient_accumulation_steps 4"
    " --learning_rate 5e-5 --warmup_ratio 0.1 --max_length 2048 --deepspeed zero2 --model Qwen/Qwen2.5-7B"
)
LORA = (
    "--tuner_type lora --lora_rank 8 --target_modules all-linear --torch_dtype bfloat16 --model Qwen/Qwen3-8B"
    " --per_device_train_batch_size 1 --gradient_accumulation_steps 4 --packing true --attn_impl flash_attn"
)


def validated(folder: Path, environments: Path, words: str) -> Validation:
    told = reading.read(["--", "swift", "sft", *words.split()], [], 8)
    return validate(Wish(told, Pins({"ms-swift": "4.6.0"}), 64_000, folder, environments, folder, "here"), print)


def test_the_newest_is_right_and_its_labels_are_told(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, FULL)
    assert (told.outcome, told.findings) == ("pass", [])
    trained = next(part.recovered for part in told.plan.step if part.what == "trained")
    assert (trained or "").startswith("the responses, as configured (")


@pytest.mark.exhaustive
def test_so_it_is_with_lora_and_without_packing(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, LORA)
    assert (told.outcome, told.findings) == ("pass", [])
    assert any("packing" in said for said in told.not_covered)


@pytest.mark.exhaustive
def test_so_it_is_under_fsdp(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, f"{FULL.replace('--deepspeed zero2', '--fsdp fsdp2')} --max_steps 20")
    assert (told.outcome, told.findings) == ("pass", [])


@pytest.mark.exhaustive
def test_dft_is_not_held(tmp_path: Path, environments: Path) -> None:
    told = validated(tmp_path, environments, f"{FULL} --enable_dft_loss true")
    assert told.outcome == "unknown"
    assert all((run.reason or "").startswith("the intent smooths labels, or weighs losses") for run in told.runs)

"""What ms-swift's command is started with in a small run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.validation import plan, reading
from harness.validation.small import swift
from harness.validation.small.kept import keep
from harness.validation.small.place import Place, Small

SFT = "--tuner_type full --torch_dtype bfloat16 --max_length 4096 --learning_rate 5e-5 --model"


def small(words: str) -> Small:
    """The first of its small runs."""
    told = reading.read(["--", "swift", "sft", *words.split()], [], 2)
    step, release, _ = plan.step(told, {}, None)
    told = plan.with_preset(told, release)
    place = Place(Path("/here"), Path("/model"))
    return swift.small(keep(told, release), plan.small_runs(told, step)[0], place)


def said(made: Small, option: str) -> str | None:
    words = made.given.words
    return words[words.index(f"--{option}") + 1] if f"--{option}" in words else None


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("Qwen/Qwen2.5-7B", "named/Qwen/Qwen2.5-7B"),
        ("/data/models/Qwen3-8B/", "named/data/models/Qwen3-8B"),
        ("../Qwen3-8B", "named/Qwen3-8B"),
    ],
)
def test_the_model_has_the_name_that_tells_its_template(model: str, named: str) -> None:
    found = small(f"{SFT} {model}")
    assert said(found, "model") == f"/here/{named}"
    assert found.given.more == {"model": "/model", "named": named}
    assert said(found, "template") is None
    assert said(small(f"{SFT} {model} --template chatml"), "template") == "chatml"


def test_deepspeeds_configuration_is_a_file_of_the_run() -> None:
    found = small(f"{SFT} a/b --deepspeed zero2_offload")
    assert said(found, "deepspeed") == "/here/deepspeed.json"
    assert found.given.stage == 2
    assert json.loads(found.files["deepspeed.json"])["zero_optimization"]["offload_optimizer"] == {"device": "cpu"}


def test_no_row_is_longer_than_what_is_kept() -> None:
    assert said(small(f"{SFT} a/b"), "max_length") == "1024"
    assert said(small(f"{SFT} a/b --max_length 100"), "max_length") == "100"


def test_what_needs_flash_attention_is_swapped() -> None:
    found = small(f"{SFT} a/b --packing true --attn_impl flash_attn")
    assert (said(found, "packing"), said(found, "attn_impl")) == ("false", "sdpa")


def test_a_loss_scale_that_weighs_tokens_is_refused() -> None:
    assert said(small(f"{SFT} a/b --loss_scale last_round+ignore_empty_think"), "loss_scale") is not None
    with pytest.raises(ValueError, match="loss_scale react weighs tokens"):
        small(f"{SFT} a/b --loss_scale react")

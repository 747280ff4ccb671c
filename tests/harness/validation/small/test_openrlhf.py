"""What OpenRLHF's trainer is started with in a small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.validation import plan, reading
from harness.validation.known.ledger import LENGTH
from harness.validation.small import openrlhf
from harness.validation.small.kept import keep
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import runs

FLAT = (
    "--pretrain a/b --dataset c/d --max_len 16384 --input_key prompt --output_key target --train_batch_size 64"
    " --micro_train_batch_size 1 --apply_chat_template --zero_stage 2 --max_epochs 3 --adam_offload --packing_samples"
    " --bf16 --flash_attn --learning_rate 5e-5 --lr_warmup_ratio 0.1"
)
DOTTED = (
    "--model.model_name_or_path a/b --data.dataset c/d --data.input_key question --data.output_key response"
    " --train.batch_size 256 --train.micro_batch_size 2 --ds.attn_implementation flash_attention_2 --ds.packing_samples"
)


def smalls(words: str, rows: int | None = 46_000) -> list[Small]:
    told = reading.read(["--", "deepspeed", "--module", "openrlhf.cli.train_sft", *words.split()], [], 8)
    step, release, _ = plan.step(told, {}, rows)
    place = Place(Path("/here"), Path("/model"))
    return [openrlhf.small(keep(told, release), run, place) for run in runs(step, whole_windows=True)]


def said(small: Small, flag: str) -> list[str]:
    """The values behind a flag."""
    words = list(small.given.words)
    behind = words[words.index(f"--{flag}") + 1 :]
    end = next((i for i, word in enumerate(behind) if word.startswith("--")), len(behind))
    return behind[:end]


def lines(small: Small) -> list[dict[str, Any]]:
    return [json.loads(line) for line in small.files[openrlhf.DATA].splitlines()]


def test_flat_flags_are_kept_and_shrunk() -> None:
    first, whole = smalls(FLAT)
    assert said(first, "train_batch_size") == ["16"]
    assert said(first, "max_len") == [str(LENGTH)]
    assert said(first, "adam_offload") == said(first, "bf16") == []
    assert first.given.stage == 2
    assert first.given.compute == "bf16"
    assert not {"--packing_samples", "--flash_attn"} & {*first.given.words}
    assert said(whole, "max_epochs") == ["2"]
    assert said(whole, "max_norm") == ["1000.0"]
    assert "--max_norm" not in first.given.words
    assert len(lines(whole)) == 16 * 4


def test_the_horizon_is_that_of_all_epochs() -> None:
    first, _ = smalls(FLAT)
    (epochs,) = map(int, said(first, "max_epochs"))
    assert epochs * len(lines(first)) // 16 == 3 * (46_000 // 64)


@pytest.mark.parametrize(("ratio", "warmup"), [("0.1", 1), ("0.3", 2), ("0.0", 0)])
def test_the_warmup_is_as_many_steps_as_are_meant(ratio: str, warmup: int) -> None:
    *_, whole = smalls(FLAT.replace("0.1", ratio))
    (share,) = map(float, said(whole, "lr_warmup_ratio"))
    assert -(-share * 8 // 1) == warmup


def test_dotted_flags() -> None:
    first, _ = smalls(DOTTED)
    assert said(first, "train.batch_size") == ["32"]
    assert said(first, "ds.attn_implementation") == ["sdpa"]
    assert "--ds.packing_samples" not in first.given.words
    assert {*lines(first)[0]} == {"question", "response"}


def test_rows_have_the_format_that_is_asked_for() -> None:
    assert {*lines(smalls(FLAT)[0])[0]} == {"prompt", "target"}
    chats = lines(smalls(FLAT.replace(" --output_key target", ""))[0])
    assert all(turn.keys() == {"role", "content"} for row in chats for turn in row["prompt"])
    texts = lines(smalls(f"{FLAT} --pretrain_mode")[0])
    assert all(row["prompt"] and not row["target"] for row in texts)

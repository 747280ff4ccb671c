"""What verl's trainers are started with in a small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.validation import plan, reading
from harness.validation.small import verl
from harness.validation.small.kept import keep
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run, runs
from harness.validation.step.effective import Effective

OLD = (
    "verl.trainer.fsdp_sft_trainer data.train_files=x.parquet data.prompt_key=extra_info data.response_key=extra_info"
    " optim.lr=1e-4 data.prompt_dict_keys=['question'] +data.response_dict_keys=['answer']"
    " data.micro_batch_size_per_gpu=4 model.partial_pretrain=a/b trainer.total_epochs=1"
)
NEW = (
    "verl.trainer.sft_trainer data.train_files=x.parquet data.train_batch_size=128 data.use_dynamic_bsz=True"
    " data.max_token_len_per_gpu=2048 data.messages_key=turns model.path=a/b engine=fsdp optim.lr=1e-5"
    " optim.betas=[0.9,0.95] optim.lr_warmup_steps_ratio=0.2 optim.lr_scheduler_type=cosine engine.strategy=fsdp2"
)


def stepped(words: str) -> tuple[Effective, list[tuple[Run, Small]]]:
    told = reading.read(["--", "torchrun", "--nproc_per_node=8", "-m", *words.split()], [], 8)
    step, release, _ = plan.step(told, {}, 7473)
    place = Place(Path("/here"), Path("/model"))
    return step, [(run, verl.small(keep(told, release), run, place)) for run in runs(step, whole_windows=True)]


def said(small: Small) -> dict[str, str]:
    return dict(word.lstrip("+").split("=", 1) for word in small.given.words)


def lines(small: Small) -> list[dict[str, Any]]:
    return [json.loads(line) for line in small.files[verl.ROWS].splitlines()]


def test_the_old_trainer() -> None:
    _, [(run, first), (_, whole)] = stepped(OLD)
    told = said(first)
    assert told["data.train_batch_size"] == str(4 * run.accumulation * 2)
    assert int(told["trainer.total_epochs"]) * len(lines(first)) // int(told["data.train_batch_size"]) == run.horizon
    assert {*lines(first)[0]["extra_info"]} == {"question", "answer"}
    assert first.given.more["predicting"]
    assert said(whole)["trainer.total_epochs"] == "2"
    assert "trainer.total_training_steps" not in told


def test_the_old_trainers_schedule_is_over_all_epochs() -> None:
    step, _ = stepped(f"{OLD} trainer.total_training_steps=5")
    assert step.horizon == 7473 // 256
    assert "total_training_steps" in step.odd[0]


def test_the_new_trainer_puts_rows_together_by_tokens() -> None:
    step, [(run, first), _] = stepped(NEW)
    told = said(first)
    assert step.micro_batch_tokens == int(told["data.max_token_len_per_gpu"])
    assert told["trainer.total_training_steps"] == str(step.horizon)
    assert told["optim.betas"] == "[0.9,0.95]"
    assert told["model.override_config.attn_implementation"] == "'sdpa'"
    assert "engine='fsdp'" in first.given.words
    assert [*lines(first)[0]] == ["turns"]
    intent = run.intent({"lm_head.weight": (8, 4)}, packs=False)
    assert intent.micro_batch_tokens == step.micro_batch_tokens
    assert [len(window) for window in intent.windows or ()] == [1] * run.steps


@pytest.mark.parametrize(("ratio", "warmup"), [("0.2", 2), ("0.0", 0)])
def test_the_warmup_is_as_many_steps_as_are_meant(ratio: str, warmup: int) -> None:
    _, (*_, (_, whole)) = stepped(NEW.replace("ratio=0.2", f"ratio={ratio}"))
    assert int(8 * float(said(whole)["optim.lr_warmup_steps_ratio"])) == warmup


def test_infinity_is_no_clipping() -> None:
    assert stepped(f"{OLD} optim.clip_grad=inf")[0].optimizer.max_grad_norm is None
    assert "makes every gradient 0" in stepped(f"{OLD} optim.clip_grad=0")[0].odd[0]

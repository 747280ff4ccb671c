"""A user's own rows in small runs by the frameworks' own entry points: what is told of them, and what is not."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.environments import build
from harness.environments.request import parse
from harness.validation import reading
from harness.validation.known.pins import Pins
from harness.validation.record import PartRecord, Validation
from harness.validation.validate import Wish, validate
from reports.validation.faces import faces
from tests.harness.validation import written

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

QWEN = {"model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}
ONE = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "lr_scheduler_type": "constant"}
"""So that one run of three steps is enough."""
FACTORY = {**written.FACTORY, **QWEN, **ONE, "warmup_ratio": 0.0, "bf16": False}
TRL = {**QWEN, **ONE, "dataset_name": "somebody/rows", "max_length": 1024, "learning_rate": 1e-4, "max_steps": 100}
SECRET = "Xanthippe"
ANSWERS = [
    f"{SECRET} {i} says that the answer to question {i} is {i * i}, because it is known to be so." for i in range(40)
]
ALPACA = [{"instruction": f"{SECRET} asks {i}", "input": "", "output": said} for i, said in enumerate(ANSWERS)]
CHATS = [
    {"messages": [{"role": "user", "content": f"ask {i}"}, {"role": "assistant", "content": said}], "id": i}
    for i, said in enumerate(ANSWERS)
]
PAIRS = [{"prompt": f"ask {i} ", "completion": said} for i, said in enumerate(ANSWERS)]
OPENRLHF = (
    "deepspeed --module openrlhf.cli.train_sft --model.model_name_or_path Qwen/Qwen2.5-7B-Instruct --data.dataset x"
    " --data.input_key question --data.output_key response --data.apply_chat_template --train.batch_size 4"
    " --train.micro_batch_size 2 --adam.lr 5e-5 --lr_scheduler constant --lr_warmup_ratio 0"
)
VERL = (
    "torchrun --nproc_per_node=2 -m verl.trainer.sft_trainer data.train_files=x.parquet data.train_batch_size=4"
    " data.use_dynamic_bsz=False data.micro_batch_size_per_gpu=2 data.truncation=right data.messages_key=messages"
    " model.path=Qwen/Qwen2.5-7B-Instruct engine=fsdp engine.strategy=fsdp2 optim.lr=1e-5"
)


def lines(folder: Path, made: list[dict[str, Any]]) -> Path:
    place = folder / "mine.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in made))
    return place


def validated(folder: Path, environments: Path, words: list[str], data: Path, **pinned: str) -> Validation:
    """Nothing of the rows is in any of its reports."""
    told = reading.read(words, [], 2, rows=data)
    out = folder / "out"
    out.mkdir()
    found = validate(Wish(told, Pins(pinned), 1000, folder, environments, out, "here"), print)
    assert not [name for name, text in faces(found).items() if SECRET in text]
    return found


def part(found: Validation, what: str) -> PartRecord:
    return next(each for each in found.plan.step if each.what == what)


def test_another_familys_template_is_told_of_the_tokens_that_were_trained(tmp_path: Path, environments: Path) -> None:
    sft = str(written.file(tmp_path, "sft.yaml", {**FACTORY, "template": "llama3"}))
    found = validated(tmp_path, environments, [sft], lines(tmp_path, ALPACA), llamafactory="0.9.5")
    assert found.outcome == "pass"
    assert "answers end with <|eot_id|>, those of the model's own template with <|im_end|>" in found.plan.odd
    assert part(found, "turns").differs
    cut = part(found, "long rows").recovered or ""
    assert "128 tokens, the most here, cut at the end" in cut
    assert cut.endswith("what ends an answer is lost")
    to = next(row.to for row in found.plan.ledger if row.key == "dataset") or ""
    assert to.startswith("your own first 12 rows of mine.jsonl")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("made", "trained", "turns"),
    [(PAIRS, "the responses", "as the rows stand there"), (CHATS, "all tokens", "by the model's own template")],
    ids=["pairs", "chats"],
)
def test_trl_trains_by_the_columns(
    tmp_path: Path, environments: Path, made: list[dict[str, Any]], trained: str, turns: str
) -> None:
    sft = str(written.file(tmp_path, "sft.yaml", TRL))
    found = validated(tmp_path, environments, [sft], lines(tmp_path, made), trl="1.16.0")
    assert found.outcome == "pass"
    assert not found.plan.odd
    assert part(found, "trained").configured.startswith(trained)
    assert ", as configured (" in (part(found, "trained").recovered or "")
    assert part(found, "turns").configured.startswith(turns)
    assert part(found, "turns").recovered == "each ended by <|im_end|>, which is trained"


@pytest.mark.exhaustive
def test_openrlhf_puts_the_eos_where_a_row_is_cut(tmp_path: Path, environments: Path) -> None:
    place = tmp_path / "mine.csv"
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([["question", "response"], *([f"ask {i}", said] for i, said in enumerate(ANSWERS))])
    found = validated(tmp_path, environments, ["--", *OPENRLHF.split()], place, openrlhf="0.11.2")
    assert found.outcome == "pass"
    assert "the last token is <|im_end|> all the same" in (part(found, "long rows").recovered or "")


@pytest.mark.exhaustive
def test_verl_reads_parquet(tmp_path: Path, environments: Path) -> None:
    place = tmp_path / "mine.parquet"
    python = build.ensure(parse("verl==0.9.1"), environments, print).python
    parquet(python, lines(tmp_path, CHATS), place)
    found = validated(tmp_path, environments, ["--", *VERL.split()], place, verl="0.9.1")
    assert found.outcome == "pass"
    assert "cut at the end" in (part(found, "long rows").recovered or "")


def parquet(python: Path, made: Path, place: Path) -> None:
    program = "import pandas, sys; pandas.read_json(sys.argv[1], lines=True).to_parquet(sys.argv[2])"
    subprocess.run([str(python), "-c", program, str(made), str(place)], check=True, timeout=120)

"""Frameworks' own command lines, recorded from outside. What lets them run on a CPU is in `on_a_cpu.py`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from scenarios import catalogue, checkpoint
from tests.frameworks.recorded import environment, interpreter, judged, launched, ran, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
ON_A_CPU = str(HERE / "on_a_cpu.py")
TOKEN_MEAN = ": a mean over the tokens of the window, clipped "
MEAN_OF_MEANS = ": a mean over the micro-batches, each averaged by itself, "
UNLABELLED = " (no labels told which are to be trained: the weights do)"
OPENRLHF = shlex.split("""
--pretrain model --save_path saved --dataset pairs.jsonl --input_key prompt --output_key completion --max_len 512
--max_epochs 1 --train_batch_size 8 --micro_train_batch_size 1 --attn_implementation eager --learning_rate 1e-3
--lr_scheduler constant --lr_warmup_ratio 0 --max_norm 1.0
""")
VERL = shlex.split("""
model.path=model +model.override_config.attn_implementation=sdpa model.enable_gradient_checkpointing=False engine=fsdp
engine.strategy=fsdp2 engine.use_torch_compile=False data.train_files=rows.parquet data.train_batch_size=8
+engine.mixed_precision={param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32} data.micro_batch_size_per_gpu=1
data.use_dynamic_bsz=False data.num_workers=0 optim.lr=1e-3 optim.lr_scheduler_type=constant optim.clip_grad=1.0
trainer.total_epochs=1 trainer.device=cpu trainer.logger=[console] trainer.resume_mode=disable
trainer.n_gpus_per_node=2 hydra.output_subdir=null hydra.run.dir=. hydra/job_logging=none
""")
LLAMAFACTORY = """
model_name_or_path: model
stage: sft
do_train: true
finetuning_type: full
dataset: rows
dataset_dir: .
cutoff_len: 512
output_dir: saved
per_device_train_batch_size: 1
gradient_accumulation_steps: 4
learning_rate: 1.0e-3
lr_scheduler_type: constant
num_train_epochs: 1.0
report_to: none
save_strategy: "no"
use_cpu: true
ddp_backend: gloo
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, and the conversations of a scenario as these frameworks read them."""
    scenario = catalogue.get("sft-ragged")
    (tmp_path / "model").mkdir()
    checkpoint.write(scenario, tmp_path / "model")
    lines = (tmp_path / "model" / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    pairs = [{"prompt": question["content"], "completion": answer["content"]} for question, answer in rows]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    (tmp_path / "rows.json").write_text(json.dumps([{"messages": row} for row in rows]))
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    about = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json", **about}}))
    (tmp_path / "train.yaml").write_text(LLAMAFACTORY)
    return tmp_path


def told(folder: Path) -> str:
    done = judged(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", ["2", "3"])
def test_openrlhf_averages_means(stage: str, environments: Path, place: Path) -> None:
    python = interpreter("openrlhf==0.9.10", environments)
    words = [*OPENRLHF, "--zero_stage", stage, "--input_template", "<|user|> {} <|assistant|> "]
    recorded(launched(python, 2, 29661, ON_A_CPU, "openrlhf", "openrlhf.cli.train_sft", *words), place)
    said = told(place)
    assert MEAN_OF_MEANS in said
    assert UNLABELLED in said


@pytest.mark.parametrize("padding", [True, False], ids=["free", "padded"])
def test_verl_is_right(padding: bool, environments: Path, place: Path) -> None:
    python = interpreter("verl==0.9.1", environments)
    to_parquet = "import pandas as p; p.DataFrame(p.read_json('rows.json')).to_parquet('rows.parquet')"
    ran([python, "-c", to_parquet], place)
    words = [*VERL, f"model.use_remove_padding={padding}"]
    command = launched(python, 2, 29663, ON_A_CPU, "verl", "verl.trainer.sft_trainer", *words)
    recorded(command, place, PYTHONPATH=str(HERE.parents[1]), **environment("verl==0.9.1", environments).cpu_variables)
    said = told(place)
    assert "every trained token of 4 micro-batches on 2 ranks weighs" in said
    assert UNLABELLED + TOKEN_MEAN in said


def test_llamafactory_is_right(environments: Path, place: Path) -> None:
    """By the command that it installs; torchaudio, which it imports, has a stand-in."""
    python = Path(interpreter("llamafactory==0.9.5", environments))
    variables = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2", "MASTER_PORT": "29665", "DISABLE_VERSION_CHECK": "1"}
    stand_in = str(HERE.parents[1] / "adapters" / "inside" / "stubbed" / "torchaudio")
    here = {"PATH": f"{python.parent}:/usr/bin:/bin", "PYTHONPATH": stand_in, **variables}
    recorded([str(python.with_name("llamafactory-cli")), "train", "train.yaml"], place, **here)
    said = told(place)
    assert "every trained token of 4 micro-batches on 2 ranks weighs" in said
    assert TOKEN_MEAN in said

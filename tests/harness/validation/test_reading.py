"""Command lines and scripts, read without running anything."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.validation import reading
from harness.validation.known.ledger import entry
from harness.validation.read import launching
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Family
from harness.validation.readers.families import READERS
from tests.harness.validation import written
from tests.harness.validation.written import part, row


@pytest.mark.parametrize(
    ("line", "program", "launcher", "ranks"),
    [
        ("torchrun --nproc_per_node=4 --nnodes 2 a.py --x 1", "a.py", "torchrun", 8),
        ("srun --gpus 8 torchrun --standalone --nproc-per-node 4 -m a.b", "a.b", "torchrun", 4),
        ("python -m torch.distributed.run --nproc_per_node 2 a.py", "a.py", "torchrun", 2),
        ("deepspeed --include localhost:0,1,2 --module a.b", "a.b", "deepspeed", 3),
        ("deepspeed --num_gpus 2 --num_nodes=2 a.py", "a.py", "deepspeed", 4),
        ("accelerate launch --num_processes 8 --num_machines 2 --multi_gpu a.py", "a.py", "accelerate", 8),
        ("accelerate launch -m axolotl.cli.train x.yml", "axolotl.cli.train", "accelerate", None),
        ("env A=1 NPROC_PER_NODE=2 swift sft --x", "swift sft", None, 2),
        ("CUDA_VISIBLE_DEVICES=0 python3.11 -u a.py", "a.py", None, None),
        ("FORCE_TORCHRUN=1 llamafactory-cli train x.yaml", "llamafactory-cli train", None, None),
    ],
)
def test_what_a_line_starts(line: str, program: str, launcher: str | None, ranks: int | None) -> None:
    told = launching.launched(shlex.split(line))
    assert (told.program, told.launcher, told.ranks) == (program, launcher, ranks)


@pytest.mark.parametrize(
    "line", ["echo hi", "python", "python -c 1", "torchrun", "bash", "bash -c 'torchrun x.py'", "ls a.py"]
)
def test_what_starts_no_training(line: str) -> None:
    with pytest.raises(BadConfiguration):
        launching.launched(shlex.split(line))


SCRIPT = """#!/bin/bash
set -euo pipefail
# gpus=4
lr=1e-5
gpus="${1:-2}"
steps=$((64 / (gpus * 4)))
MORE=(
  --weight_decay 0.1  # of matrices
  --output_dir "out dir"
)
python prepare.py --lr 3
torchrun --nproc_per_node $gpus trl/scripts/sft.py \\
  --learning_rate $lr --gradient_accumulation_steps ${steps} \\
  --eos_token '<$x>' "${MORE[@]}" > log.txt 2>&1 &
wait
"""


def script(folder: Path, text: str) -> str:
    place = folder / "run.sh"
    place.write_text(text)
    return str(place)


def test_a_script_is_read_with_its_variables(tmp_path: Path) -> None:
    told = written.of("bash", script(tmp_path, SCRIPT), "4", world=None)
    assert told.started_by == "torchrun trl/scripts/sft.py"
    assert part(told, "global batch").configured.endswith("x 4 accumulated x 4 ranks = 128 sequences")
    assert row(told, "learning_rate").value == "1e-05"
    assert row(told, "eos_token").value == "<$x>"
    assert row(told, "output_dir").value == "out dir"
    assert not {"lr", "log.txt"} & {one.key for one in told.ledger}


def test_a_text_that_a_script_reads_into_a_variable(tmp_path: Path) -> None:
    """As in OpenRLHF's examples."""
    text = "set -x\nread -r -d '' commands <<EOF\nopenrlhf.cli.train_sft \\\n --max_norm 0.2 \\\n --l2 1\nEOF\n"
    text += 'if [[ ${1} != "slurm" ]]; then\n  deepspeed --module $commands\nfi\n'
    assert part(written.of("bash", script(tmp_path, text)), "clipping").configured == "at a norm of 0.2"


def test_what_cannot_be_resolved_is_named(tmp_path: Path) -> None:
    text = "n=$(nvidia-smi -L | wc -l)\ntorchrun --nproc_per_node $n x.py --max_steps $steps\n"
    with pytest.raises(BadConfiguration, match=r"\$n, \$steps; put NAME=VALUE before `bash`"):
        written.of("bash", script(tmp_path, text))
    told = written.of("n=2", "steps=9", "bash", str(tmp_path / "run.sh"), world=None)
    assert part(told, "length").configured == "9 steps"


def test_a_value_of_a_branch_is_not_certain(tmp_path: Path) -> None:
    text = "lr=1e-5\nif [ -n x ]; then\n  lr=2e-5\nfi\npython x.py --learning_rate $lr\n"
    with pytest.raises(BadConfiguration, match=r"\$lr"):
        written.of("bash", script(tmp_path, text))


def test_what_stands_around_a_training(tmp_path: Path) -> None:
    """Other commands in its line, branches, and programs that only name what launches one."""
    text = "pip install deepspeed transformers\npython -m pip install torchrun x\necho deepspeed x.py\n"
    text += "if [ $HOSTNAME = a ]; then export lr=2; fi\nexport A=1 B=2\nset -x; cd there && A=$A WANDB_MODE=off"
    text += " srun -N 2 torchrun --nproc_per_node $B x.py --learning_rate 1e-5 --beta=$A 2>&1 | tee log --seed 3"
    told = written.of("bash", script(tmp_path, text), world=None)
    assert part(told, "global batch").configured.endswith("2 ranks = 16 sequences")
    assert {one.key: one.value for one in told.ledger} == {
        "learning_rate": "1e-05", "beta": "1", "nproc_per_node": "2", "srun": "-N 2", "A": "1", "WANDB_MODE": "off",
    }  # fmt: skip
    assert row(told, "srun").word == "not covered"
    assert row(told, "WANDB_MODE").word == "no effect on the step"


WRITTEN_IN_MANY_LINES = """#!/bin/bash
GPUS=$(python -c 'import torch; print(torch.cuda.device_count())')
MODEL="somebody/model" # it's set below
function usage() {
    echo '
Usage: bash run.sh [-m MODEL]
'
}
while [[ "$1" != "" ]]; do
    case $1 in
        -m | --model )
            shift
            MODEL=$1
            ;;
    esac
    shift
done
cat <<EOF > notes.txt
it's $MODEL
EOF
ARGS="
    --nproc_per_node $GPUS \\
    --master_port 6001
"
torchrun $ARGS finetune.py \\
    --model_name_or_path $MODEL \\
    --evaluation_strategy "no" \\
    --learning_rate 1e-5
"""


def test_texts_over_several_lines(tmp_path: Path) -> None:
    """As scripts have them for what they say to people, and for words that several commands share."""
    place = script(tmp_path, WRITTEN_IN_MANY_LINES)
    with pytest.raises(BadConfiguration, match=r"does not say what these are, .*: \$GPUS, \$MODEL;"):
        written.of("bash", place)
    told = written.of("GPUS=4", "MODEL=mine", "bash", place, world=None)
    assert part(told, "global batch").configured.endswith("4 ranks = 32 sequences")
    assert {one.key for one in told.ledger} == {
        "model_name_or_path", "evaluation_strategy", "learning_rate", "nproc_per_node", "master_port",
    }  # fmt: skip


def test_an_option_that_is_added_to_verls_is_not_unknown() -> None:
    told = written.of("python", "-m", "verl.trainer.sft_trainer", "+mine.own=1", "mine.other=1", "--config-name=x")
    assert row(told, "mine.own").word == "not covered"
    assert row(told, "mine.other").word == "unknown to this release"
    assert row(told, "config_name").word == "not covered"


def test_two_trainings_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="starts 2 trainings"):
        written.of("bash", script(tmp_path, "torchrun a.py\ntorchrun b.py\n"))


def test_nothing_of_a_script_is_run(tmp_path: Path) -> None:
    text = f"touch {tmp_path}/ran\nx=$(touch {tmp_path}/ran)\ny=`touch {tmp_path}/ran`\npython a.py --learning_rate 1\n"
    written.of("bash", script(tmp_path, text))
    assert not (tmp_path / "ran").exists()


def test_a_command_takes_its_file_and_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written.file(tmp_path, "sft.yaml", written.FACTORY)
    written.file(tmp_path, "ds.json", {**written.ENGINE, "gradient_clipping": 0.25})
    told = written.of("llamafactory-cli", "train", "sft.yaml", "deepspeed=ds.json", "max_grad_norm=0.25")
    assert told.family == "llamafactory"
    assert part(told, "clipping").by == "gradient_clipping in ds.json"
    assert not told.missing
    written.file(tmp_path, "trl.yaml", written.TRL)
    told = written.of("trl", "sft", "--config", "trl.yaml", "--learning_rate", "1")
    assert (told.family, part(told, "learning rate").configured) == ("trl", "1")


def test_a_launcher_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written.file(tmp_path, "zero3.yaml", written.LAUNCHED)
    told = written.of("accelerate", "launch", "--config_file", "zero3.yaml", "sft.py", "--packing", "true", world=None)
    assert part(told, "global batch").configured.endswith("4 ranks = 32 sequences")
    assert row(told, "config_file").source == "accelerate"


@pytest.mark.parametrize("values", [written.ENGINE, written.LAUNCHED])
def test_a_companion_alone_is_no_configuration(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(BadConfiguration, match="give it by --with"):
        written.of(str(written.file(tmp_path, "x.json", values)))


def test_what_is_beside_must_be_a_companion(tmp_path: Path) -> None:
    sft, other = written.file(tmp_path, "sft.yaml", written.FACTORY), written.file(tmp_path, "other.yaml", {"a": 1})
    with pytest.raises(BadConfiguration, match="neither DeepSpeed's configuration nor accelerate's"):
        written.of(str(sft), beside=(other,))


def test_a_quote_that_yaml_has_no_escape_for_is_read_and_told(tmp_path: Path) -> None:
    place = tmp_path / "x.yaml"
    place.write_text('model_name_or_path: m\nchat_template: "it\\\'s"\n')
    told = written.of(str(place))
    assert row(told, "chat_template").value == "it's"
    assert "is no YAML: line 2" in told.refused[0]


@pytest.mark.parametrize("family", READERS)
def test_every_word_of_a_key_is_one(family: Family) -> None:
    """Nothing that decides a step of a Trainer is called without effect by a framework around it."""
    reader = READERS[family]
    if "trainer" in reader.words:
        for key in ("learning_rate", "weight_decay", "max_grad_norm", "warmup_ratio", "max_steps", "bf16"):
            assert entry(key, reader.words) == ("kept", None)


def test_a_release_is_chosen_by_what_it_knows(tmp_path: Path) -> None:
    before = {key: value for key, value in written.TRL.items() if key != "max_length"}
    values = {**before, "max_seq_length": 9, "torch_dtype": "bfloat16"}
    old = written.of(str(written.file(tmp_path, "a.yaml", values)))
    new = written.of(
        str(written.file(tmp_path, "b.yaml", {**written.TRL, "chat_template_path": "x", "dtype": "bfloat16"}))
    )
    assert old.release != new.release
    assert not [one for one in new.ledger if one.word == "unknown to this release"]
    wrong = written.of(str(written.file(tmp_path, "c.yaml", {**written.TRL, "learning_rte": 1})))
    told = row(wrong, "learning_rte")
    assert told.word == "unknown to this release"
    assert told.why is not None
    assert told.why.endswith("did you mean learning_rate?")


def test_without_words_nothing_is_read() -> None:
    with pytest.raises(BadConfiguration, match="give a configuration's file"):
        reading.read([], [], None)

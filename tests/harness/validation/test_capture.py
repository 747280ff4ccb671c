"""Scripts that are run with launchers that only note how they were called."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from harness import cli
from harness.validation import capture
from harness.validation.read.bounded import BadConfiguration
from harness.validation.record import Plan
from tests.harness.validation import written
from tests.harness.validation.written import part, row

SFT = "--learning_rate 1e-5 --max_steps 10"


def script(folder: Path, text: str, name: str = "run.sh") -> str:
    place = folder / name
    place.write_text(text)
    return str(place)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Plan:
    assert cli.call(["validate", "--plan", "--capture", "--format", "json", "--", *words]) == 0
    return Plan.model_validate(json.loads(capsys.readouterr().out))


REAL = """set -euo pipefail
gpus=$(expr 2 + 2)
function common() { echo "--weight_decay 0.1"; }
ARGS=(--learning_rate "$1" --output_dir 'out dir')
for name in a b; do ARGS+=(--report_to $name); done
cd "$(dirname "$0")"
export NNODES=2 WANDB_API_KEY=hf_abcdefghijklmnop
pip install torch > /dev/null
torchrun --nproc_per_node $gpus sft.py --config mine.yaml "${ARGS[@]}" $(common) 2>&1 | tee log.txt
"""
"""What no reading could resolve."""


def test_what_a_script_reckons_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its files are those of the folder that it goes into."""
    written.file(tmp_path, "mine.yaml", written.TRL)
    plan = told(capsys, "bash", script(tmp_path, REAL), "3e-4")
    assert (plan.family, plan.started_by) == ("trl", "torchrun sft.py")
    assert part(plan, "learning rate").configured == "0.0003"
    assert part(plan, "decay").configured.startswith("0.1 of")
    assert part(plan, "global batch").configured.endswith("8 ranks = 128 sequences")
    assert (row(plan, "NNODES").value, row(plan, "output_dir").value) == ("2", "out dir")
    assert plan.captured is not None
    assert plan.captured.endswith("only note how they are called; this is the training that it would start")
    assert "hf_abc" not in plan.model_dump_json()


@pytest.mark.parametrize(
    ("line", "started"),
    [
        (f"srun -N 2 --export=ALL torchrun --nproc_per_node 2 x.py {SFT}", "torchrun x.py"),
        (f"srun -N 2 bash -c 'python -m torch.distributed.run x.py {SFT}'", "torchrun x.py"),
        ("ray start --head; ray job submit -- python3 -m verl.trainer.sft_trainer a=1", "verl.trainer.sft_trainer"),
        (f"uv pip install x && uv run accelerate launch x.py {SFT}", "accelerate x.py"),
        (f"python -W ignore -u train.py {SFT}", "train.py"),
        (f"python3 -m trl.scripts.sft {SFT}", "trl.scripts.sft"),
        ("deepspeed --module openrlhf.cli.train_sft --max_norm 1", "deepspeed openrlhf.cli.train_sft"),
        (f"PATH=/usr/bin:/bin; torchrun x.py {SFT}", "torchrun x.py"),
        (f"torchrun x.py {SFT} &", "torchrun x.py"),
        (f"if true; then exec swift sft {SFT}; fi", "swift sft"),
        (f"set -u; unset NOTHING; : $WANDB_API_KEY; trl sft {SFT}", "trl sft"),
        (f"torchrun x.py {SFT}; python eval.py; rm -rf $MISSING", "torchrun x.py"),
    ],
)  # fmt: skip
def test_how_trainings_are_started(
    line: str, started: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-of-mine")
    assert told(capsys, "bash", script(tmp_path, line)).started_by == started


def test_of_several_trainings_the_first_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "for lr in 1e-3 1e-4 1e-5; do torchrun x.py --max_steps 9 --learning_rate $lr; done\n"
    plan = told(capsys, "bash", script(tmp_path, text))
    assert part(plan, "learning rate").configured == "0.001"
    assert plan.captured is not None
    assert "the first of 3 trainings" in plan.captured


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x=$(python -c 'print(1)'); touch after; torchrun x.py", "calls .*python -c.*what that does is not known"),
        ("python prepare.py --seed 3; touch after", "calls 'python prepare.py --seed 3', and what"),
        ("accelerate config; touch after", "calls 'accelerate config', and what"),
        ("srun -N 2 hostname; touch after", "calls 'srun -N 2 hostname', and what"),
        ("python - <<EOF\nopen('ran', 'w')\nEOF\ntouch after", "calls 'python -', and what"),
        ("echo hi", "started no training that is known$"),
        ("set -e; false; torchrun x.py", "started no training that is known, and ended with status 1$"),
        ("if", r"ended with status 2 \(.*syntax error"),
        ("yes", "printed more than 8 MiB"),
        ("touch after\n/opt/venv/bin/python train.py --learning_rate 1", "run.sh:2 calls /opt/venv/bin/python by its"),
        ("$CONDA/bin/torchrun x.py", "run.sh:1 calls .CONDA/bin/torchrun by its path"),
        ("torchrun", "no training is seen"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes behind a call that is not known is not run: what it would work with is not there."""
    monkeypatch.chdir(tmp_path)
    if text.startswith("touch"):
        text = text.replace("touch after\n", "touch ran\n")
    place = script(tmp_path, text)
    assert cli.call(["validate", "--plan", "--capture", "--", "bash", place]) == 2
    assert re.search(said, capsys.readouterr().err.removesuffix("\n"))
    assert not (tmp_path / "after").exists()
    assert not (tmp_path / "ran").exists()


def test_a_script_may_take_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had started by then counts, and none of its processes is left."""
    monkeypatch.setattr(capture, "TIMEOUT", 1.0)
    begun = time.monotonic()
    with pytest.raises(BadConfiguration, match="took longer than 1 s"):
        capture.run(["bash", script(tmp_path, "sleep 60\n")])
    found = capture.run(["bash", script(tmp_path, f"(sleep 3; touch {tmp_path}/late) &\ntorchrun x.py\nsleep 60\n")])
    assert found.words[-2:] == ("torchrun", "x.py")
    assert time.monotonic() - begun < 20
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_nothing_of_the_user_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret, no home, no keyboard."""
    monkeypatch.setenv("HF_TOKEN", "mine")
    text = f'echo "$HOME $HF_TOKEN" > {tmp_path}/seen; cat >> {tmp_path}/seen; torchrun x.py'
    capture.run(["A=1", "bash", script(tmp_path, text)])
    home, token = (tmp_path / "seen").read_text().split()
    assert (token, Path(home).exists()) == ("(redacted)", False)
    assert home != str(Path.home())


@pytest.mark.parametrize("words", [["missing-command"], ["bash", "missing.sh"], ["bash", "\0"], ["bash", "."]])
def test_what_cannot_be_run(words: list[str]) -> None:
    with pytest.raises(BadConfiguration) as refusal:
        capture.run(words)
    assert "\n" not in str(refusal.value)


def test_a_file_is_not_captured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = written.file(tmp_path, "x.yaml", written.TRL)
    assert cli.call(["validate", "--plan", "--capture", str(place)]) == 2
    assert "--capture needs -- and the command" in capsys.readouterr().err


def test_an_own_shell_works_with_a_place_that_has_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a b"))
    found = capture.run(["sh", script(tmp_path, "torchrun 'x y.py' --a \"it's\"\n")])
    assert found.words[-4:] == ("torchrun", "x y.py", "--a", "it's")
    assert not list((tmp_path / "a b").glob("*capture*"))

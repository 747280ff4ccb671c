"""Files of options: how each is read, whose they are, and one line for what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.translating import dialects, source
from harness.translating.meaning import NoMeaning
from harness.validation.read.bounded import BadConfiguration

SCRIPT = """#!/bin/bash
CLIP=0.28
python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo \\
    actor_rollout_ref.actor.clip_ratio_high=$CLIP trainer.n_gpus_per_node=4
"""
FLAGS = """
--actor.eps_clip_low_high 0.2 0.28   # two numbers
--algo.kl.use_loss
--algo.advantage.estimator dr_grpo \\
--rollout.n_samples_per_prompt 8
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_yaml(tmp_path: Path) -> None:
    read = source.read(written(tmp_path, "grpo.yaml", "beta: 0.1\nloss_type: [sigmoid, sft]\n"))
    assert read.options == {"beta": 0.1, "loss_type": ["sigmoid", "sft"]}


def test_nested_yaml_of_verl(tmp_path: Path) -> None:
    read = source.read(written(tmp_path, "ppo.yaml", "algorithm: {adv_estimator: grpo}\n"))
    (verl,) = dialects.of("verl")
    assert source.names(verl, read.options) == {"algorithm.adv_estimator": "grpo"}


def test_a_script_is_read_and_not_run(tmp_path: Path) -> None:
    read = source.read(written(tmp_path, "run.sh", SCRIPT))
    assert read.program == "verl.trainer.main_ppo"
    assert read.options["actor_rollout_ref.actor.clip_ratio_high"] == 0.28


def test_flags(tmp_path: Path) -> None:
    assert source.read(written(tmp_path, "flags.txt", FLAGS)).options == {
        "actor.eps_clip_low_high": [0.2, 0.28],
        "algo.kl.use_loss": True,
        "algo.advantage.estimator": "dr_grpo",
        "rollout.n_samples_per_prompt": 8,
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "- 1\n", "no keys with values"),
        ("a.json", "{", "no JSON"),
        ("a.txt", "", "has no options"),
        ("a.txt", "'", "cannot be read as words"),
        ("a.txt", "words alone", "belongs to no option"),
        ("a.sh", "echo", "starts no training"),
    ],
)
def test_what_is_no_file_of_options(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration, match=said):
        source.read(written(tmp_path, name, text))


@pytest.mark.parametrize(
    ("framework", "options", "program", "method"),
    [
        ("trl", {"num_generations": 8}, "", "grpo"),
        ("trl", {"loss_type": "ipo"}, "", "dpo"),
        ("trl", {"loss_type": "dapo", "beta": 0.1}, "", "grpo"),
        ("trl", {"beta": 0.1}, "trl dpo", "dpo"),
        ("openrlhf", {"train.seed": 1}, "openrlhf.cli.train_ppo_ray", "grpo"),
        ("openrlhf", {"model.beta": 0.1}, "", "dpo"),
        ("llamafactory", {"pref_beta": 0.1}, "", "dpo"),
    ],
)
def test_whose_options_they_are(framework: str, options: dict[str, object], program: str, method: str) -> None:
    assert source.dialect(framework, source.Source(options, program), None).method == method


def test_what_does_not_say_it() -> None:
    either = source.Source({"beta": 0.1})
    with pytest.raises(BadConfiguration, match="say --method"):
        source.dialect("trl", either, None)
    assert source.dialect("trl", either, "dpo").method == "dpo"
    with pytest.raises(BadConfiguration, match="none of these is an option of verl"):
        source.dialect("verl", either, None)


def test_a_framework_whose_options_are_not_read() -> None:
    for framework, method in (("torch", None), ("verl", "dpo")):
        with pytest.raises(NoMeaning, match=f"no options of {framework}.* are read; known are llamafactory"):
            source.dialect(framework, source.Source({"beta": 0.1}), method)

"""What is written for a framework is what its adapter hands to it; and both sides of a translation, run for real."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import scenarios
from adapters.contract import to_dict
from harness import processes
from harness.environments import build
from harness.environments.request import parse
from harness.launch.pythonpath import adapters_alone
from harness.translating import dialects, source, table
from harness.verdicts import verdict
from scenarios import checkpoint
from tests.frameworks.command import COMMAND
from tests.frameworks.conftest import BUILDING
from tests.harness.translating.test_dialects import OBJECTIVES

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

ASKED = Path(__file__).with_name("asked_options.py")
ABOVE = {"data.train_batch_size", "trainer.n_gpus_per_node"}
"""Of the trainer above what is driven: verl's workers."""
FRAMEWORKS = sorted({dialect.framework for dialect in dialects.DIALECTS})


@cache
def handed(framework: str, environments: Path) -> dict[str, Any]:
    """By scenario, what the newest release's adapter gives to it."""
    environment = build.ensure(parse(framework).resolved(), environments, print)
    wanted = [scenarios.get(name) for name in OBJECTIVES]
    with adapters_alone() as folder:
        for scenario in wanted:
            (folder / scenario.name).mkdir()
            checkpoint.write(scenario, folder / scenario.name)
        words = [environment.framework, environment.version, environment.adapter, str(folder)]
        done = processes.run(
            [str(environment.python), str(ASKED), *words],
            {
                **environment.environ("cpu", {**os.environ, "HF_HUB_OFFLINE": "1"}),
                "PYTHONPATH": str(folder),
                "TMPDIR": str(folder),
            },
            stdin=json.dumps([to_dict(scenario) for scenario in wanted]),
            timeout=900,
            folder=folder,
            cwd=folder,
        )
    assert done.code == 0, done.errors[-2000:]
    found: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return found


def as_options(told: Any) -> dict[str, Any]:
    return source.parsed(" ".join(map(str, told)), "adapter") if isinstance(told, list) else told


@pytest.mark.parametrize(
    "framework", [pytest.param(name, marks=[] if name == "trl" else [pytest.mark.exhaustive]) for name in FRAMEWORKS]
)
def test_what_is_written_is_what_the_adapter_hands_over(framework: str, environments: Path) -> None:
    told = handed(framework, environments)
    assert len(told) >= 2
    for name, given in told.items():
        meaning = table.meaning(scenarios.get(name))
        dialect = dialects.find(framework, meaning.objective.method)
        assert dialect is not None
        settings = dialect.write(meaning)
        own = {key: value for key, value in settings.options.items() if key not in ABOVE}
        theirs = as_options(given)
        assert {key: theirs.get(key, dialect.defaults[key]) for key in own} == own, name


def translated(folder: Path, environments: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), "translate", *words, "--out", "out", "--envs", str(environments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILDING,
    )


def test_trl_and_verl_make_the_same_update(tmp_path: Path, environments: Path) -> None:
    (tmp_path / "grpo.yaml").write_text(
        "num_generations: 8\nscale_rewards: none\ngradient_accumulation_steps: 4\ntemperature: 0.9\n"
    )
    done = translated(tmp_path, environments, "trl:grpo.yaml", "verl")
    assert done.returncode == 0, done.stderr
    assert "run small by both, with groups of 4, a temperature of 1: " in done.stderr
    assert "actor_rollout_ref.rollout.temperature=0.9" in done.stdout
    (view,) = verdict.read(tmp_path / "out").views
    assert len(view.groups) == 1
    assert "actor_rollout_ref.actor.loss_agg_mode=token-mean" in done.stdout


@pytest.mark.exhaustive
def test_the_deviation_of_trl_is_another_than_verls(tmp_path: Path, environments: Path) -> None:
    """TRL adds 1e-4 to it and verl 1e-6: two in ten thousand of a weight where rewards differ by one."""
    (tmp_path / "grpo.yaml").write_text("num_generations: 8\nloss_type: grpo\ngradient_accumulation_steps: 4\n")
    done = translated(tmp_path, environments, "trl:grpo.yaml", "verl")
    assert done.returncode == 1, done.stderr
    assert "trl==1.16.0: 1e-4 is added to the standard deviation" in done.stderr
    (view,) = verdict.read(tmp_path / "out").views
    assert len(view.groups) == 2


@pytest.mark.exhaustive
def test_a_ratio_of_completions_over_the_mean_of_tokens(tmp_path: Path, environments: Path) -> None:
    """verl passes over loss_agg_mode with it up to 0.7.1."""
    (tmp_path / "grpo.yaml").write_text(
        "num_generations: 4\nscale_rewards: none\ngradient_accumulation_steps: 4\nimportance_sampling_level: sequence\n"
    )
    done = translated(tmp_path, environments, "trl:grpo.yaml", "verl")
    assert done.returncode == 0, done.stderr
    assert "actor_rollout_ref.actor.loss_agg_mode=token-mean" in done.stdout


@pytest.mark.exhaustive
def test_preferences_of_trl_are_openrlhfs(tmp_path: Path, environments: Path) -> None:
    (tmp_path / "dpo.yaml").write_text("loss_type: sigmoid\nbeta: 0.2\n")
    done = translated(tmp_path, environments, "trl:dpo.yaml", "openrlhf", "--method", "dpo")
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
def test_a_token_mean_is_openrlhfs(tmp_path: Path, environments: Path) -> None:
    (tmp_path / "grpo.yaml").write_text("num_generations: 8\nscale_rewards: none\ngradient_accumulation_steps: 4\n")
    done = translated(tmp_path, environments, "trl:grpo.yaml", "openrlhf")
    assert done.returncode == 0, done.stderr

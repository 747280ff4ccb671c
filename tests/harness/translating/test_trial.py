"""The small run's scenario has the objective, and can run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

import scenarios
from harness.translating import table, trial
from harness.translating.meaning import Meaning, canonical
from scenarios import files
from tests.harness.translating import drawn
from tests.harness.translating.test_dialects import OBJECTIVES

SMALLER = ("group_size", "rollout_steps", "normaliser_constant", "demonstrations", "shaping", "sft_coefficient")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_can_run_and_its_file_is_read_back(name: str, tmp_path: Path) -> None:
    meaning = table.meaning(scenarios.get(name))
    made = trial.scenario(meaning)
    made.check()
    assert made.optimizer.max_grad_norm is None
    trial.write(meaning, tmp_path)
    choice = trial.choice(meaning, tmp_path)
    assert choice.file is not None
    assert files.load(Path(choice.file)) == choice.scenario == made


@settings(max_examples=30)
@given(drawn.meanings())
def test_it_has_the_objective(meaning: Meaning) -> None:
    wanted = replace(meaning.objective, demonstrations=0)
    if wanted.advantage == "group-std" and wanted.group_size == 1:
        return
    made = trial.scenario(replace(meaning, objective=wanted))
    made.check()
    same = {name: getattr(wanted, name) for name in SMALLER}
    assert replace(canonical(made.objective), **same) == wanted


def test_several_passes_over_several_batches() -> None:
    stale = scenarios.get("grpo-stale")
    meaning = table.meaning(stale)
    assert meaning.sizes is not None
    assert meaning.sizes.passes == 2
    made = trial.scenario(meaning)
    assert (made.objective.rollout_steps, made.window.steps, made.data.epochs) == (4, 4, 2)
    assert trial.smaller(meaning) == []
    larger = replace(meaning.objective, group_size=8, rollout_steps=16, normaliser="constant", normaliser_constant=512)
    assert trial.smaller(replace(meaning, objective=larger)) == [
        "groups of 4",
        "4 optimizer steps of a sampling",
        "a constant of 32 tokens",
    ]
    assert trial.smaller(replace(meaning, temperature=0.6, entropy=0.01)) == ["a temperature of 1", "no entropy term"]

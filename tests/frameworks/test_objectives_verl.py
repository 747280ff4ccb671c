"""Policy steps in verl: by the worker on its engines, and by the older one, which averaged otherwise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.judging.judge import judge
from harness.traces import reader
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words
from tests.frameworks.reading import causes, details, diagnosis

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

NEWEST, LAST, OLD, OLDEST = "verl==0.9.1", "verl==0.7.1", "verl==0.6.1", "verl==0.5.0"
"""The last three have the older worker."""

OTHERS = {
    "constant": 'base = "grpo-constant"\nobjective.normaliser_constant = 40\noptimizer.max_grad_norm = "none"\n',
    "short": 'base = "grpo-constant"\nobjective.normaliser_constant = 8\n',
    "masked-row": 'base = "grpo-masked"\nobjective.normaliser = "row"\noptimizer.max_grad_norm = "none"\n',
    "stale-row": 'base = "grpo-stale"\nobjective.normaliser = "row"\n',
    "divergence-k1": 'base = "grpo-divergence"\nobjective.divergence = "k1"\nobjective.normaliser = "row"\n',
    "divergence-k2": 'base = "grpo-divergence"\nobjective.divergence = "k2"\nobjective.normaliser = "row"\n',
    "decayed": 'base = "grpo-row"\noptimizer.weight_decay = 0.1\noptimizer.decayed = "all"\n',
    "divergence-k3": 'base = "grpo-divergence"\nobjective.normaliser = "row"\n',
}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Scenarios that an average over micro-batches leaves alone, and those of what is known to be wrong."""
    folder = tmp_path_factory.mktemp("rollouts")
    for name, content in OTHERS.items():
        (folder / f"{name}.toml").write_text(f'name = "{name}"\n{content}')
    return [str(folder / f"{name}.toml") for name in OTHERS]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, others: list[str], environments: Path) -> Run:
    """Four releases on every policy step, and on those others."""
    chosen = words("--framework", [NEWEST, LAST, OLD, OLDEST]) + words("--scenario", ["grpo-*", *others])
    return command.run(tmp_path_factory.mktemp("policy"), environments, *chosen, timeout=BUILDING)


def test_a_policy_step_is_right(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", NEWEST, "--scenario", "grpo-token", timeout=BUILDING)
    assert run.status == 0, run.said


ODD = {
    "alone": ('base = "grpo-token"\nobjective.group_size = 1\n', "objective.group_size=1"),
    "again": (
        'base = "grpo-token"\nobjective.rollout_steps = 3\nwindow.steps = 3\ndata.epochs = 2\n',
        "a row that comes twice",
    ),
}


def test_what_would_be_another_group_is_refused(tmp_path: Path, environments: Path) -> None:
    for name, (content, _) in ODD.items():
        (tmp_path / f"{name}.toml").write_text(content)
    files = [str(tmp_path / f"{name}.toml") for name in ODD]
    run = command.run(tmp_path, environments, "--framework", NEWEST, *words("--scenario", files), timeout=BUILDING)
    for name, (_, said) in ODD.items():
        assert said in (run.cell(f"{NEWEST}/{name}").reason or "")


@pytest.mark.exhaustive
def test_the_newest_is_right_throughout(releases: Run) -> None:
    found = {c.scenario: c.verdict for c in releases.verdict.cells if c.name.startswith(NEWEST)}
    assert found.pop("grpo-mixed") == "unsupported"
    assert set(found.values()) == {"pass"}, found


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [LAST, OLD, OLDEST])
def test_a_mean_of_rows_was_right_in_the_older_worker(releases: Run, release: str) -> None:
    names = ["grpo-row", "stale-row", "divergence-k1", "divergence-k2", "divergence-k3"]
    assert {name: releases.cell(f"{release}/{name}").verdict for name in names} == dict.fromkeys(names, "pass")


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [LAST, OLD, OLDEST])
def test_each_micro_batch_was_averaged_over_its_own_tokens(releases: Run, release: str) -> None:
    """Until 0.7.1 (verl#906), also where the trainer is told token-mean, its default."""
    found = releases.cell(f"{release}/grpo-token")
    assert (found.verdict, causes(found)) == ("fail", ["mean-of-means"])
    assert "5625" in (diagnosis(found, "mean-of-means").upstream or "")


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [OLD, OLDEST])
def test_completions_that_count_alike_were_added_up(releases: Run, release: str) -> None:
    """Until 0.7.0 (verl#3741) the rows of a micro-batch, of which there are two, were not averaged."""
    found = releases.cell(f"{release}/constant")
    assert [said["factor"] for said in details(found, "weights.scale")] == pytest.approx([2.0, 2.0], rel=1e-5)
    assert causes(found) == ["gradient-scale"]
    assert releases.cell(f"{LAST}/constant").verdict == "pass"


@pytest.mark.exhaustive
def test_a_completion_that_is_masked_whole_made_the_update_nothing(releases: Run) -> None:
    """Until 0.6.0 (PR 3915): 0 divided by 0 tokens; such a step is left out."""
    trace = reader.read(releases.trace(f"{OLDEST}/masked-row"))
    assert [math.isnan(step.grad_norm or 0.0) for step in trace.reported[0]] == [True, True]
    before, after = trace.state(0, "param"), trace.state(2, "param")
    assert all(before[name].equal(after[name]) for name in before)


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", [OLD, LAST])
def test_then_it_was_not_counted_in_its_micro_batch(releases: Run, release: str) -> None:
    """Its neighbour weighs twice as much as the others."""
    for step in judge(releases.trace(f"{release}/masked-row")).steps:
        assert {round(r.weight / r.expected, 4) for r in step.tokens.rows if r.expected} == {1.0, 2.0}


@pytest.mark.exhaustive
def test_what_the_older_worker_cannot_express_is_said(releases: Run) -> None:
    assert "normaliser_constant" in (releases.cell(f"{LAST}/short").reason or "")
    assert "objective.ratio" in (releases.cell(f"{OLDEST}/grpo-sequence").reason or "")

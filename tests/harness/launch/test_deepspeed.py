"""Real DeepSpeed by both launchers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Job, batches_file, steps_file
from harness.environments.build import ensure
from harness.environments.environment import Environment
from harness.environments.request import parse
from harness.environments.store import default_root
from harness.launch import torchrun
from harness.launch.template import Template
from scenarios import checkpoint

pytestmark = pytest.mark.frameworks

ALL = sorted(name for name in scenarios.CATALOGUE if not scenarios.get(name).beyond_tokens)


@pytest.fixture(
    scope="module", params=[pytest.param("deepspeed==0.15.1", marks=pytest.mark.exhaustive), "deepspeed==0.19.8"]
)
def deepspeed(request: pytest.FixtureRequest) -> Environment:
    return ensure(parse(request.param), default_root(), print)


@pytest.fixture(scope="module")
def variables(deepspeed: Environment) -> dict[str, str]:
    return {**deepspeed.variables, **deepspeed.cpu_variables}


def job(deepspeed: Environment, name: str, folder: Path) -> Job:
    scenario, trace = scenarios.get(name), folder / f"trace-{name}"
    checkpoint.write(scenario, folder / name)
    trace.mkdir()
    return Job(deepspeed.adapter, deepspeed.framework, deepspeed.version, scenario, str(folder / name), str(trace))


@pytest.mark.exhaustive  # tests/frameworks/test_deepspeed.py judges them as well
def test_every_scenario_runs(deepspeed: Environment, variables: dict[str, str], tmp_path: Path) -> None:
    with Template(deepspeed.python, deepspeed.adapter, variables, tmp_path / "log.txt") as template:
        ends = {name: template.run(job(deepspeed, name, tmp_path), 120) for name in ALL}
    assert {name: end.reason for name, end in ends.items() if end.status != "finished"} == {}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("sft-ragged", marks=pytest.mark.exhaustive),  # tests/frameworks/test_run.py has it
        "sft-ragged-zero2-offload",
        pytest.param("sft-ragged-zero3", marks=pytest.mark.exhaustive),
    ],
)
def test_both_launchers_give_the_same_bits(
    deepspeed: Environment, variables: dict[str, str], tmp_path: Path, name: str
) -> None:
    warm = job(deepspeed, name, tmp_path)
    with Template(deepspeed.python, deepspeed.adapter, variables, tmp_path / "log.txt") as template:
        assert template.run(warm, 120).status == "finished"
    cold = replace(warm, trace=str(tmp_path / "cold"))
    Path(cold.trace).mkdir()
    outcome = torchrun.run(deepspeed.python, variables, cold, 120)
    assert outcome.status == "finished", outcome.reason
    assert contents(warm) == contents(cold)


def contents(cell: Job) -> dict[str, bytes]:
    trace = Path(cell.trace)
    lines = [trace / file(rank) for file in (steps_file, batches_file) for rank in range(cell.scenario.window.ranks)]
    return {path.name: path.read_bytes() for path in [*(trace / "tensors").iterdir(), *lines]}

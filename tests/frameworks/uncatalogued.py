"""Scenarios that the catalogue has not, on real releases."""

from __future__ import annotations

from pathlib import Path

import scenarios
from adapters.contract import Job, RowFormat, Scenario, Schedule, vary
from harness.environments import build
from harness.environments.request import parse
from harness.judging import judge as judging
from harness.judging.judge import Judgement
from harness.launch.torchrun import Torchrun
from scenarios import checkpoint


def turns(row_format: RowFormat) -> Scenario:
    """One step of `sft-ragged` whose rows are two questions and two answers each."""
    base = scenarios.get("sft-ragged")
    count = base.rows_per_step
    rows = tuple(
        one + other for one, other in zip(base.data.rows[:count], base.data.rows[count : 2 * count], strict=True)
    )
    return vary(base, name=f"turns-{row_format}", rows=rows, steps=1, row_format=row_format)


def warmup_that_ends() -> Scenario:
    """A warm-up of two steps in a run of three."""
    return vary(scenarios.get("sft-ragged-warmup"), name="warmup-that-ends", schedule=Schedule(warmup_steps=2))


def run(release: str, scenario: Scenario, environments: Path, folder: Path) -> Judgement:
    """Run a cell by torchrun in `folder`, which exists, and judge its trace. Raises AssertionError if it fails."""
    environment = build.ensure(parse(release), environments, print)
    checkpoint.write(scenario, folder / "checkpoint")
    trace = folder / "trace"
    trace.mkdir()
    job = Job(
        environment.adapter,
        environment.framework,
        environment.version,
        scenario,
        str(folder / "checkpoint"),
        str(trace),
    )
    with Torchrun(environment.python, {**environment.variables, **environment.cpu_variables}) as launcher:
        outcome = launcher.run(job, 300.0)
    assert outcome.status == "finished", (outcome.reason, outcome.log_tail)
    return judging.judge(trace)

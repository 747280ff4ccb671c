"""`lockstep run --on slurm`, on a real Slurm of this machine."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from harness.verdicts.verdict import CellRecord
from tests.frameworks import command
from tests.frameworks.command import Running, wait_until
from tests.frameworks.proofs import words
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(7200)]

TWO = words("--scenario", ["sft-equal", "sft-ragged"])
ON = ("--on", "slurm")
SCENARIOS = ["sft-equal", "sft-ragged", "sft-ragged-warmup", "sft-ragged-noclip", "sft-ragged-decay"]
CELLS = (*words("--framework", ["torch", "ddp"]), *words("--scenario", SCENARIOS))
KINDS = ("job", "node", "controller", "run", "interrupt")
KILLS = 4 * len(KINDS)
WHOLE = 3000.0
"""Seconds for every framework on every scenario."""


def test_two_cells_in_one_job(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, *ON, "--framework", "torch", *TWO, "--jobs", "2", "--srun=--label")
    assert (run.status, run.survivors, run.files) == (0, (), ())
    assert [cell.verdict for cell in run.verdict.cells] == ["pass", "pass"]
    assert run.verdict.complete
    assert len(list(run.out.glob("spools/torch-*/taken/*"))) == 1, "jobs that took cells"


@pytest.mark.exhaustive
def test_an_interrupted_run_leaves_no_job_and_goes_on(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    chosen = (*ON, *CELLS)
    running = Running(tmp_path, environments, *chosen)
    assert wait_until(lambda: running.recorded >= 2, 120)
    running.process.send_signal(signal.SIGINT)
    stopped = running.finish(30)
    assert stopped.status == 130
    assert slurm.quiet()
    assert not stopped.verdict.complete
    kept = {cell.name: cell for cell in stopped.verdict.cells}
    whole = command.run(tmp_path, environments, *chosen, "--resume")
    assert whole.status == 0
    assert f"of the earlier run's verdicts {len(kept)} kept, 0 run again" in whole.said
    assert all(whole.cell(name) == cell for name, cell in kept.items())


@pytest.mark.exhaustive
def test_every_cell_comes_to_the_verdict_that_it_has_here(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    here, there = (tmp_path / name for name in ("here", "there"))
    for folder in (here, there):
        folder.mkdir()
    run = command.run(there, environments, *ON, "--nodes", "2", timeout=WHOLE)
    alike = command.run(here, environments, timeout=WHOLE)
    assert run.status == alike.status
    assert len(run.verdict.cells) >= 160
    assert [_said(cell) for cell in run.verdict.cells] == [_said(cell) for cell in alike.verdict.cells]


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(KILLS))
def test_whatever_is_killed_no_cell_is_lost_or_doubled(
    slurm: Cluster, tmp_path: Path, environments: Path, number: int
) -> None:
    moment = random.Random(number).uniform(0, 10)
    running = Running(tmp_path, environments, *ON, "--nodes", "2", *CELLS)
    assert wait_until(lambda: bool(slurm.jobs("%N")), 60)
    time.sleep(moment)
    _kill(KINDS[number % len(KINDS)], running, slurm)
    stopped = running.finish(600)
    assert slurm.quiet(120), slurm.jobs("%A-%T")
    print(f"{KINDS[number % len(KINDS)]} after {moment:.1f} s: {stopped.status}, {len(stopped.verdict.cells)} cells")
    whole = command.run(tmp_path, environments, *ON, "--nodes", "2", *CELLS, "--resume")
    expected = [f"{framework}/{scenario}" for framework in ("torch", "ddp") for scenario in sorted(SCENARIOS)]
    assert sorted(f"{c.framework}/{c.scenario}" for c in whole.verdict.cells) == sorted(expected)
    assert {cell.verdict for cell in whole.verdict.cells} == {"pass"}
    assert all((whole.out / (cell.trace or "")).name == cell.scenario for cell in whole.verdict.cells)


def _kill(kind: str, running: Running, slurm: Cluster) -> None:
    if kind == "job":
        slurm.ask("scancel", *slurm.jobs()[:1])
    elif kind == "node":
        slurm.kill("node1")
        time.sleep(3)
        slurm.start_node("node1")
    elif kind == "controller":
        slurm.kill("slurmctld")
        time.sleep(3)
        slurm.start_controller()
    else:
        running.process.send_signal(signal.SIGKILL if kind == "run" else signal.SIGINT)


def _said(cell: CellRecord) -> tuple[object, ...]:
    return cell.name, cell.verdict, cell.reason, [f.code for f in cell.findings], [d.cause for d in cell.diagnoses]

"""Going on with a run: which verdicts are kept, and which cells are run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.contract import END, Job
from harness.environments.request import Request
from harness.session.plan import Plan
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord
from tests.harness.session.world import CHOICES, OLD, TORCH, Judged, Ran, World, run, verdicts


def test_resuming_runs_only_what_is_missing(tmp_path: Path) -> None:
    def crash(job: Job) -> Ran:
        return Ran("crashed") if job.scenario.name == "sft-equal" else Ran()

    run(Plan((TORCH,), CHOICES), World(play=crash), tmp_path)
    world = World()
    whole, watcher = run(Plan((TORCH, OLD), CHOICES), world, tmp_path, resume=True)
    assert {(j.framework, j.scenario.name) for j in world.jobs} == {
        ("torch", "sft-equal"),
        ("deepspeed", "sft-ragged"),
        ("deepspeed", "sft-equal"),
    }
    assert list(verdicts(whole).values()) == ["pass"] * 4
    assert len(watcher.cells) == 4
    assert watcher.resumed == "of the earlier run's verdicts 1 kept, 0 run again"
    assert verdict.read(tmp_path).cells == whole.cells


PLAN = Plan((TORCH,), CHOICES[:1])


@pytest.mark.parametrize(
    ("again", "why"),
    [
        (replace(PLAN, fault="every-token-alike"), "other options"),
        (replace(PLAN, launcher="torchrun"), "other options"),
        (replace(PLAN, ranks=1), "another scenario"),
        (replace(PLAN, device="cuda"), "another scenario"),
    ],
    ids=["fault", "launcher", "ranks", "device"],
)
@pytest.mark.parametrize("status", ["finished", "unsupported"])
def test_a_verdict_of_another_experiment_is_not_kept(tmp_path: Path, again: Plan, why: str, status: str) -> None:
    def play(job: Job) -> Ran:
        return Ran(status, reason="no packing")

    run(PLAN, World(play=play), tmp_path)
    world = World(play=play)
    _, watcher = run(again, world, tmp_path, resume=True)
    assert len(world.jobs) == 1
    assert watcher.resumed == f"of the earlier run's verdicts 0 kept, 1 run again (1 with {why})"
    _, watcher = run(again, world, tmp_path, resume=True)
    assert len(world.jobs) == 1
    assert watcher.resumed == "of the earlier run's verdicts 1 kept, 0 run again"


def test_nor_one_of_another_environment(tmp_path: Path) -> None:
    """As of a patch that was edited, or of other packages underneath; both are in the hash of the lock."""
    run(PLAN, World(), tmp_path)
    world = World(locks={TORCH: "1"})
    _, watcher = run(PLAN, world, tmp_path, resume=True)
    assert len(world.jobs) == 1
    assert watcher.resumed == "of the earlier run's verdicts 0 kept, 1 run again (1 with another environment)"


def test_nor_one_of_another_harness_or_of_an_older_release(tmp_path: Path) -> None:
    whole, _ = run(PLAN, World(), tmp_path)
    for harness in ("0.0.1+0123456789abcdef", None):
        cells = [cell.model_copy(update={"harness": harness}) for cell in whole.cells]
        verdict.write(whole.model_copy(update={"cells": cells}), tmp_path)
        world = World()
        _, watcher = run(PLAN, world, tmp_path, resume=True)
        assert len(world.jobs) == 1
        assert watcher.resumed == "of the earlier run's verdicts 0 kept, 1 run again (1 with another Lockstep)"


def test_nor_one_of_an_interpreter_of_the_users_own(tmp_path: Path) -> None:
    """Its packages can be edited in place, which nothing shows."""
    plan = Plan((Request("torch", None, python=Path("/opt/python")),), CHOICES[:1])
    run(plan, World(), tmp_path)
    world = World()
    _, watcher = run(plan, world, tmp_path, resume=True)
    assert len(world.jobs) == 1
    assert watcher.resumed is not None
    assert watcher.resumed.endswith("1 run again (1 with an interpreter of your own, which may have changed)")


@pytest.mark.parametrize("change", [{"trace": None}, {"trace": "cells/deepspeed-0.18.9/sft-ragged"}])
def test_a_verdict_stands_with_its_own_trace_alone(tmp_path: Path, change: dict[str, object]) -> None:
    whole, _ = run(Plan((TORCH, OLD), CHOICES[:1]), World(), tmp_path)
    cells = [whole.cells[0].model_copy(update=change), whole.cells[1]]
    verdict.write(whole.model_copy(update={"cells": cells}), tmp_path)
    world = World()
    _, watcher = run(Plan((TORCH, OLD), CHOICES[:1]), world, tmp_path, resume=True)
    assert [job.framework for job in world.jobs] == ["torch"]
    assert watcher.resumed == "of the earlier run's verdicts 1 kept, 1 run again (1 with a damaged trace)"


def test_a_verdict_goes_before_its_trace_does(tmp_path: Path) -> None:
    """Or a run that is killed here would leave the verdict of one experiment beside the trace of another."""
    run(PLAN, World(), tmp_path)
    seen: list[list[CellRecord]] = []

    def play(job: Job) -> Ran:
        seen.append(verdict.read(tmp_path).cells)
        return Ran()

    run(replace(PLAN, launcher="torchrun"), World(play=play), tmp_path, resume=True)
    assert seen == [[]]


def test_a_trace_behind_a_link_is_no_evidence_and_stays(tmp_path: Path) -> None:
    run(Plan((TORCH,), CHOICES), World(), tmp_path / "out")
    (tmp_path / "out/cells/torch-2.13.0").rename(tmp_path / "elsewhere")
    (tmp_path / "out/cells/torch-2.13.0").symlink_to(tmp_path / "elsewhere")
    world = World()
    whole, _ = run(Plan((TORCH,), CHOICES), world, tmp_path / "out", resume=True)
    assert not world.jobs
    assert {cell.verdict for cell in whole.cells} == {"unknown"}
    assert "is a symbolic link" in (whole.cells[0].reason or "")
    assert (tmp_path / "elsewhere/sft-equal" / END).exists()


def test_a_trace_that_became_a_link_is_not_judged(tmp_path: Path) -> None:
    """What is judged is written to: a release in a sandbox could lead the harness out of it."""

    def play(job: Job) -> Ran:
        trace = Path(job.trace)
        trace.rename(tmp_path / "elsewhere")
        trace.symlink_to(tmp_path / "elsewhere")
        return Ran()

    judged: list[Path] = []
    whole, _ = run(PLAN, World(play=play, judge=lambda trace: judged.append(trace) or Judged()), tmp_path / "out")
    assert not judged
    assert whole.cells[0].verdict == "unknown"
    assert "is a symbolic link" in (whole.cells[0].reason or "")


def test_resuming_runs_a_cell_again_whose_trace_is_lost(tmp_path: Path) -> None:
    run(Plan((TORCH,), CHOICES), World(), tmp_path)
    (tmp_path / "cells/torch-2.13.0/sft-equal" / END).unlink()
    world = World()
    run(Plan((TORCH,), CHOICES), world, tmp_path, resume=True)
    assert [j.scenario.name for j in world.jobs] == ["sft-equal"]

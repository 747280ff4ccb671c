"""A run's orchestration, with environments, processes and the judge played by fakes."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import END, Job
from harness.environments.patch import load
from harness.environments.request import Request
from harness.session.folder import RunFolder
from harness.session.plan import Choice, Plan
from harness.session.session import Session
from harness.verdicts import verdict
from harness.verdicts.findings import Diagnosis, Finding
from tests.harness.session.world import CHOICES, NEW, OLD, TORCH, Judged, Ran, Watcher, World, run, verdicts


def test_every_cell_is_run_judged_and_kept(tmp_path: Path) -> None:
    world = World()
    whole, watcher = run(Plan((TORCH, OLD), CHOICES), world, tmp_path / "out")
    assert verdict.read(tmp_path / "out").cells == whole.cells
    assert verdict.read(tmp_path / "out").summary == {"pass": 4}
    assert whole.complete
    assert list(verdicts(whole)) == [
        "torch==2.13.0/sft-ragged",
        "torch==2.13.0/sft-equal",
        "deepspeed==0.18.9/sft-ragged",
        "deepspeed==0.18.9/sft-equal",
    ]
    assert set(verdicts(whole).values()) == {"pass"}
    assert {c.name for c in watcher.cells} == set(watcher.started_cells) == set(verdicts(whole))
    assert world.closed.is_set()


def test_layout_and_command_of_a_cell(tmp_path: Path) -> None:
    request = Request("deepspeed", "0.18.9", (("transformers", "4.57.3"),))
    whole, _ = run(Plan((request,), (Choice("sft-ragged", 7),), device="cuda"), World(), tmp_path)
    cell = whole.cells[0]
    assert cell.name == "deepspeed==0.18.9,transformers==4.57.3/sft-ragged@7"
    assert cell.trace == "cells/deepspeed-0.18.9,transformers==4.57.3/sft-ragged@7"
    assert (tmp_path / cell.trace / END).exists()
    assert (tmp_path / "scenarios" / "sft-ragged@7").is_dir()
    assert cell.environment == "0"
    assert cell.scenario_hash == replace(scenarios.get("sft-ragged", 7), device="cuda").hash
    assert cell.command == (
        "lockstep run --framework deepspeed==0.18.9,transformers==4.57.3 --scenario sft-ragged@7 --device cuda"
    )


def test_a_scenario_is_written_once_for_all_frameworks(tmp_path: Path) -> None:
    world = World()
    run(Plan((TORCH, OLD, NEW), CHOICES, jobs=3), world, tmp_path)
    assert sorted(world.checkpoints) == ["sft-equal", "sft-ragged"]
    assert {j.checkpoint for j in world.jobs} == {str(tmp_path / "scenarios" / c.name) for c in CHOICES}


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_cells_at_once_than_asked_for(tmp_path: Path, jobs: int) -> None:
    def slow(job: Job) -> Ran:
        time.sleep(0.05)
        return Ran()

    world = World(play=slow)
    run(Plan((TORCH, OLD, NEW), CHOICES, jobs=jobs), world, tmp_path)
    assert world.most == jobs


def test_findings_and_diagnoses_are_recorded(tmp_path: Path) -> None:
    judged = Judged(
        [Finding("weights.scale", "off by 1/4", step=0, detail={"factor": 0.25})],
        [Diagnosis("gradient-scale", "The gradient is 1/4.", 1.0, ("weights.scale",), "0.25 everywhere")],
    )
    whole, _ = run(Plan((OLD,), CHOICES[:1]), World(judge=lambda trace: judged), tmp_path)
    cell = json.loads((tmp_path / "verdict.json").read_text())["cells"][0]
    assert cell["verdict"] == "fail"
    assert cell["findings"][0]["factor"] == 0.25
    assert cell["diagnoses"][0]["cause"] == "gradient-scale"
    assert verdict.exit_status(whole.cells) == 1


def test_a_crash_leaves_its_cell_unknown_and_the_others_go_on(tmp_path: Path) -> None:
    def play(job: Job) -> Ran:
        if job.framework == "torch" and job.scenario.name == "sft-ragged":
            return Ran("crashed", 1.0, "rank 1 ended with status 1", "Traceback\nValueError: no\n")
        return Ran()

    whole, _ = run(Plan((TORCH, OLD), CHOICES), World(play=play), tmp_path)
    assert list(verdicts(whole).values()) == ["unknown", "pass", "pass", "pass"]
    crashed = whole.cells[0]
    assert crashed.findings[0].code == "run.crashed"
    assert crashed.reason == "rank 1 ended with status 1; last line of the log: ValueError: no"
    assert verdict.exit_status(whole.cells) == 3


def test_unsupported_is_listed_and_not_red(tmp_path: Path) -> None:
    def play(job: Job) -> Ran:
        return Ran("unsupported", 0.1, "no packing") if job.scenario.name == "sft-equal" else Ran()

    whole, _ = run(Plan((TORCH,), CHOICES), World(play=play), tmp_path)
    assert whole.cells[1].verdict == "unsupported"
    assert whole.cells[1].reason == "no packing"
    assert verdict.exit_status(whole.cells) == 0


def test_a_release_that_does_not_install_stops_no_other(tmp_path: Path) -> None:
    missing = Request("deepspeed", "0.99.0")
    whole, watcher = run(Plan((missing, TORCH), CHOICES), World(broken=frozenset([missing])), tmp_path)
    assert list(verdicts(whole).values()) == ["unknown", "unknown", "pass", "pass"]
    assert whole.cells[0].reason == "deepspeed 0.99.0: there is no such release"
    assert whole.cells[0].environment is None
    assert watcher.broken_ones == [("deepspeed==0.99.0", whole.cells[0].reason, "line 1\nline 2")]


def test_an_environment_that_does_not_start_is_unknown(tmp_path: Path) -> None:
    whole, _ = run(Plan((TORCH,), CHOICES), World(faulty_start=True), tmp_path)
    assert set(verdicts(whole).values()) == {"unknown"}
    assert "no template" in (whole.cells[0].reason or "")


def test_a_judge_or_a_launcher_that_crashes_proves_nothing(tmp_path: Path) -> None:
    def judge(trace: Path) -> Judged:
        raise ZeroDivisionError("division by zero")

    def play(job: Job) -> Ran:
        if job.scenario.name == "sft-equal":
            raise OSError("disk full")
        return Ran()

    whole, _ = run(Plan((TORCH,), CHOICES), World(play=play, judge=judge), tmp_path)
    assert [c.verdict for c in whole.cells] == ["unknown", "unknown"]
    assert "ZeroDivisionError" in (whole.cells[0].reason or "")
    assert "disk full" in (whole.cells[1].reason or "")


def test_a_cell_that_got_lost_is_unknown(tmp_path: Path) -> None:
    class Failing(Watcher):
        def note(self, request: Request, text: str) -> None:
            if request == OLD and text != "building":
                raise RuntimeError("the observer failed")

    with RunFolder.claim(tmp_path) as folder:
        whole = Session(Plan((TORCH, OLD), CHOICES), folder, World().parts(), Failing()).run()
    assert list(verdicts(whole).values()) == ["pass", "pass", "unknown", "unknown"]
    assert verdict.exit_status(whole.cells) == 3


def test_interruption_ends_everything_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    world = World()

    def play(job: Job) -> Ran:
        if job.scenario.name == "sft-equal":
            deadline = time.monotonic() + 5
            while not verdict.read(tmp_path).cells and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            world.closed.wait(5)
            return Ran("crashed", reason="killed")
        return Ran()

    world.play = play
    plan = Plan((TORCH,), (Choice("sft-ragged"), Choice("sft-equal"), Choice("sft-ragged", 1)))
    with pytest.raises(KeyboardInterrupt):
        run(plan, world, tmp_path)
    left = verdict.read(tmp_path)
    assert verdicts(left) == {"torch==2.13.0/sft-ragged": "pass"}
    assert not left.complete
    assert world.closed.is_set()
    assert world.stopped.is_set()
    assert len(world.jobs) == 2


def test_what_ran_is_kept_once_and_nothing_else(tmp_path: Path) -> None:
    def play(job: Job) -> Ran:
        seeds = {0: Ran(), 1: Ran("crashed"), 2: Ran("unsupported", reason="no packing")}
        return seeds[job.scenario.seed]

    missing = Request("deepspeed", "0.99.0")
    plan = Plan((missing, TORCH), tuple(Choice("sft-equal", seed) for seed in range(3)))
    first = World(play=play, broken=frozenset([missing]))
    whole, _ = run(plan, first, tmp_path)
    assert {c.name: c for c in first.kept} == {c.name: c for c in whole.cells if c.framework == "torch"}
    assert sorted(c.verdict for c in first.kept) == ["pass", "unknown", "unsupported"]
    assert len({(c.environment, c.scenario_hash) for c in first.kept}) == 3
    again = World(play=play, broken=frozenset([missing]))
    run(plan, again, tmp_path, resume=True)
    assert [c.verdict for c in again.kept] == ["unknown"]


def test_the_environment_of_a_users_own_has_no_hash(tmp_path: Path) -> None:
    """Its packages can be edited in place, which its lock does not show."""
    world = World()
    run(Plan((Request("torch", None, python=Path("/opt/python")),), CHOICES[:1]), world, tmp_path)
    assert [c.environment for c in world.kept] == [None]


def test_a_new_run_replaces_the_old_one(tmp_path: Path) -> None:
    run(Plan((TORCH,), CHOICES), World(), tmp_path)
    whole, _ = run(Plan((OLD,), CHOICES[:1]), World(), tmp_path)
    assert list(verdicts(whole)) == ["deepspeed==0.18.9/sft-ragged"]
    assert [p.name for p in (tmp_path / "cells").iterdir()] == ["deepspeed-0.18.9"]


def test_equal_releases_from_different_interpreters_stay_apart(tmp_path: Path) -> None:
    own = Request("torch", None, python=Path("/opt/a/python"))
    other = Request("torch", None, python=Path("/opt/b/python"))
    whole, _ = run(Plan((Request("torch", "9.9"), own, other), CHOICES[:1]), World(), tmp_path)
    assert len(set(verdicts(whole))) == 3
    assert len(list((tmp_path / "cells").iterdir())) == 3


def test_a_patched_release_stands_beside_the_release_as_it_is(tmp_path: Path) -> None:
    patched = replace(OLD, patches=(load("deepspeed-offload"),))
    whole, _ = run(Plan((patched, OLD), CHOICES[:1]), World(), tmp_path)
    assert [c.command for c in whole.cells] == [
        "lockstep run --framework deepspeed==0.18.9 --scenario sft-ragged --patch deepspeed-offload",
        "lockstep run --framework deepspeed==0.18.9 --scenario sft-ragged",
    ]
    assert len({c.trace for c in whole.cells}) == 2


def test_first_steps_of_a_training_with_a_fault_of_their_own(tmp_path: Path) -> None:
    chosen = replace(CHOICES[0], fault="drop-intermediate", command="lockstep staircase")
    world = World()
    whole, _ = run(Plan((OLD,), (chosen, CHOICES[1]), training="first"), world, tmp_path)
    assert {(job.fault, job.training) for job in world.jobs} == {("drop-intermediate", "first"), (None, "first")}
    assert whole.cells[0].command == "lockstep staircase"

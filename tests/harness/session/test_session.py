"""A run's orchestration, with environments, processes and the judge played by fakes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import scenarios
from adapters.contract import END, HEADER, Job, Scenario
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.patch import load
from harness.environments.request import Request
from harness.session.folder import RunFolder
from harness.session.parts import Parts
from harness.session.plan import Choice, Plan
from harness.session.session import Session
from harness.verdicts import verdict
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.verdict import CellRecord, Verdict

TORCH = Request("torch", "2.13.0")
OLD = Request("deepspeed", "0.18.9")
NEW = Request("deepspeed", "0.19.8")


@dataclass
class Ran:
    status: str = "finished"
    seconds: float = 0.1
    reason: str | None = None
    log_tail: str = ""


@dataclass
class Judged:
    findings: Sequence[Finding] = ()
    diagnoses: Sequence[Diagnosis] = ()


@dataclass
class Watcher:
    """Remembers what it was told."""

    broken_ones: list[tuple[str, str, str]] = field(default_factory=list)
    started_cells: list[str] = field(default_factory=list)
    cells: list[CellRecord] = field(default_factory=list)
    resumed: str | None = None

    def note(self, request: Request, text: str) -> None:
        pass

    def broken(self, request: Request, reason: str, tail: str) -> None:
        self.broken_ones.append((str(request), reason, tail))

    def started(self, cell: str) -> None:
        self.started_cells.append(cell)

    def recorded(self, cell: CellRecord) -> None:
        self.cells.append(cell)


@dataclass
class World:
    """Fakes of everything outside the session; `play` says how a job ends."""

    play: Callable[[Job], Ran] = lambda job: Ran()
    judge: Callable[[Path], Judged] = lambda trace: Judged()
    broken: frozenset[Request] = frozenset()
    faulty_start: bool = False
    jobs: list[Job] = field(default_factory=list)
    running: int = 0
    most: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)
    checkpoints: list[str] = field(default_factory=list)
    kept: list[CellRecord] = field(default_factory=list)
    locks: dict[Request, str] = field(default_factory=dict)
    """Hashes of locks that are not `0`."""

    def parts(self) -> Parts:
        return Parts(
            self.ensure,
            lambda environment, log: self,
            self.checkpoint,
            self.judge,
            self.whole,
            lambda cell, environment: cell,
            lambda cells, folder: [],
            self.kept.append,
            self.stopped.set,
        )

    def ensure(self, request: Request, note: Callable[[str], None]) -> Environment:
        if request in self.broken:
            raise BuildFailed(request.framework, request.version or "", "there is no such release", "line 1\nline 2")
        note("building")
        here = Path("env")
        lock = self.locks.get(request, "0")
        return Environment(request.framework, request.version or "9.9", here, here, here, "adapters.fake", (), lock)

    def whole(self, trace: Path, scenario_hash: str) -> bool:
        return (trace / END).exists() and json.loads((trace / HEADER).read_text())["scenario_hash"] == scenario_hash

    def start(self) -> None:
        if self.faulty_start:
            raise OSError("no template")

    def checkpoint(self, scenario: Scenario, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.checkpoints.append(scenario.name)

    def run(self, job: Job, timeout: float) -> Ran:
        with self.guard:
            self.jobs.append(job)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            trace = Path(job.trace)
            (trace / HEADER).write_text(json.dumps({"scenario_hash": job.scenario.hash}))
            ran = self.play(job)
            if ran.status == "finished":
                (trace / END).write_text("{}")
            return ran
        finally:
            with self.guard:
                self.running -= 1

    def close(self) -> None:
        self.closed.set()


def run(plan: Plan, world: World, out: Path, resume: bool = False) -> tuple[Verdict, Watcher]:
    watcher = Watcher()
    with RunFolder.claim(out, resume) as folder:
        whole = Session(plan, folder, world.parts(), watcher).run()
    watcher.resumed = folder.resumed
    return whole, watcher


def verdicts(whole: Verdict) -> dict[str, str]:
    return {cell.name: cell.verdict for cell in whole.cells}


CHOICES = (Choice("sft-ragged"), Choice("sft-equal"))


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


def test_resuming_runs_a_cell_again_whose_trace_is_lost(tmp_path: Path) -> None:
    run(Plan((TORCH,), CHOICES), World(), tmp_path)
    (tmp_path / "cells/torch-2.13.0/sft-equal" / END).unlink()
    world = World()
    run(Plan((TORCH,), CHOICES), world, tmp_path, resume=True)
    assert [j.scenario.name for j in world.jobs] == ["sft-equal"]


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
    patched = replace(OLD, patch=load("deepspeed-offload"))
    whole, _ = run(Plan((patched, OLD), CHOICES[:1]), World(), tmp_path)
    assert [c.command for c in whole.cells] == [
        "lockstep run --framework deepspeed==0.18.9 --scenario sft-ragged --patch deepspeed-offload",
        "lockstep run --framework deepspeed==0.18.9 --scenario sft-ragged",
    ]
    assert len({c.trace for c in whole.cells}) == 2

"""What a cell's verdict says of its release, and what is taken from the history instead of being run.

Requests are files of pins, whose environments are told by real `build.identify` without asking a package index. Where
something has to run, environments, processes and the judge are played; the session that runs them is the real one.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Job, Scenario
from harness.bisection import measure
from harness.bisection.measure import CRASH_KEPT, Impossible, Measured, Measurer, outcome
from harness.bisection.point import Point
from harness.bisection.search import Outcome
from harness.environments import build
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.request import Request
from harness.history.store import BadHistory, History
from harness.session.parts import Parts
from harness.session.plan import Choice, Plan
from harness.verdicts.findings import Diagnosis, Finding
from harness.verdicts.verdict import CellRecord
from tests.harness.bisection.made import diagnosis
from tests.harness.session.world import Judged, Ran

DROPPED, SCALED = "dropped-micro-batches: 1, 2 of 4", "gradient-scale: 1/4"
PLAN = Plan((), (Choice("sft-ragged"),))


@pytest.mark.parametrize(
    ("verdict", "kinds", "codes", "cause", "said"),
    [
        ("pass", [], [], None, Outcome("pass")),
        ("fail", [DROPPED], ["loss.value"], None, Outcome("fail", (DROPPED,))),
        ("fail", [DROPPED, SCALED, DROPPED], [], None, Outcome("fail", (DROPPED, SCALED))),
        ("fail", [], ["weights.value", "loss.value", "weights.value"], None,
         Outcome("fail", ("loss.value", "weights.value"))),
        ("accepted", [DROPPED], ["weights.value"], None, Outcome("fail", (DROPPED,))),
        # It is mended here, and only the list of what is known says otherwise.
        ("fail", [], ["accepted.gone"], None, Outcome("pass")),
        ("fail", [], ["accepted.gone", "loss.value"], None, Outcome("fail", ("loss.value",))),
        ("fail", [DROPPED, SCALED], [], "dropped", Outcome("fail", (DROPPED,))),
        ("fail", [SCALED], ["weights.value"], "dropped", Outcome("pass")),
        ("fail", [], ["loss.value"], "loss", Outcome("fail", ("loss.value",))),
        ("fail", [], ["loss.value"], "dropped", Outcome("pass")),
        ("unknown", [], ["run.crashed"], None, Outcome("unknown")),
        ("unknown", [], ["run.crashed"], "dropped", Outcome("unknown")),
        ("unsupported", [], [], "dropped", Outcome("unsupported")),
    ],
)  # fmt: skip
def test_what_a_verdict_says(
    verdict: str, kinds: list[str], codes: list[str], cause: str | None, said: Outcome
) -> None:
    assert outcome(verdict, kinds, codes, cause) == said


names = st.lists(st.sampled_from([DROPPED, SCALED, "loss.value", "clipping: off", "accepted.gone"]), max_size=4)


@given(st.sampled_from(["fail", "accepted"]), names, names, st.none() | st.sampled_from(["dropped", "loss", "none"]))
def test_a_failure_has_causes_and_nothing_else_has(
    verdict: str, kinds: list[str], codes: list[str], cause: str | None
) -> None:
    said = outcome(verdict, kinds, codes, cause)
    assert (said.verdict == "fail") == bool(said.causes)
    assert len(set(said.causes)) == len(said.causes)
    assert set(said.causes) <= set(kinds) | set(codes)
    assert said.causes == outcome(verdict, kinds, codes[::-1], cause).causes
    if cause is None and kinds:
        assert set(said.causes) == set(kinds)


# ---- what measures


WRONG = Judged(
    [Finding("weights.value", "token weights differ")],
    [Diagnosis("dropped-micro-batches", "some are lost", 1.0, ("weights.value",), "0 of 1", kind=DROPPED)],
)


@dataclass
class World:
    """What is outside of a session, and what was run there."""

    root: Path
    ran: Ran = field(default_factory=lambda: Ran(seconds=2.5))
    judged: Judged = field(default_factory=Judged)
    broken: BuildFailed | None = None
    jobs: list[str] = field(default_factory=list)

    def parts(self, *_: object) -> Parts:
        def nobody(cell: CellRecord) -> None:
            raise AssertionError("a bisection keeps what it measures in its own history")

        return Parts(
            self.ensure, lambda environment, places, note: self, self.checkpoint, lambda trace: self.judged,
            lambda trace, scenario_hash: False, lambda cell, environment, scenario: cell,
            lambda cells, folder: [], nobody, lambda: None,
        )  # fmt: skip

    def ensure(self, request: Request, note: Callable[[str], None]) -> Environment:
        if self.broken is not None:
            raise self.broken
        digest, here = build.identify(request, self.root, note), self.root
        return Environment(request.framework, "0.18.9", here, here, here, "adapters.fake", (), digest)

    def checkpoint(self, scenario: Scenario, folder: Path) -> None:
        folder.mkdir(parents=True)

    def start(self) -> None:
        pass

    def run(self, job: Job, timeout: float) -> Ran:
        self.jobs.append(job.version)
        return self.ran

    def close(self) -> None:
        pass


class Silent:
    """Watches, and says nothing."""

    def note(self, request: Request, text: str) -> None:
        pass

    def broken(self, request: Request, reason: str, tail: str) -> None:
        pass

    def started(self, cell: str) -> None:
        pass

    def recorded(self, cell: CellRecord) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "envs")
    monkeypatch.setattr(measure.real, "parts", made.parts)
    return made


@pytest.fixture
def measurer(tmp_path: Path, world: World) -> Measurer:
    history = History.open(tmp_path / "history.sqlite")
    return Measurer(PLAN, tmp_path / "out", world.root, history, Silent())


def point(folder: Path, version: str = "0.18.9", lines: Sequence[str] = ()) -> Point:
    path = folder / f"{version}.txt"
    path.write_text("\n".join(lines or ["torch==2.13.0", f"deepspeed=={version}"]) + "\n")
    return Point(version, Request("deepspeed", pins=path))


def keep(measurer: Measurer, at: Point, *verdicts: str, **more: object) -> None:
    """Put outcomes of a point into the history, as an earlier run would have."""
    fields = {
        "framework": "deepspeed",
        "version": f"0.18.9+{at.label}",
        "scenario": "sft-ragged",
        "environment": build.identify(at.request, measurer.envs or Path(), print),
        "scenario_hash": PLAN.scenario(PLAN.choices[0]).hash,
        "seconds": 4.0,
        "command": "lockstep run",
    }
    for verdict in verdicts:
        measurer.history.add(CellRecord.model_validate(fields | {"verdict": verdict} | more))


def one(measurer: Measurer, at: Point, earlier: int = 0) -> Measured:
    (found,) = measurer.measure([at], [earlier])
    return found


def test_what_is_in_the_history_is_not_run(measurer: Measurer, world: World, tmp_path: Path) -> None:
    at = point(tmp_path)
    keep(measurer, at, "fail", diagnoses=[diagnosis(DROPPED)])
    found = one(measurer, at)
    assert found.outcome == Outcome("fail", (DROPPED,))
    assert (found.kept, found.version, found.seconds) == (True, "0.18.9+0.18.9", 4.0)
    command = f"lockstep run --framework {at.request} --scenario sft-ragged"
    assert found.command == command, "not the one of back then, whose files may be gone"
    assert found.diagnoses == (diagnosis(DROPPED),)
    assert found.trace is None
    assert world.jobs == []


@pytest.mark.parametrize("way", ["--launcher torchrun", "--device cuda --launcher template", "--fault lr-stuck"])
def test_what_was_run_in_another_way_is_run(measurer: Measurer, world: World, tmp_path: Path, way: str) -> None:
    at = point(tmp_path)
    keep(measurer, at, "fail", command=f"lockstep run --framework deepspeed --scenario sft-ragged {way}")
    assert not one(measurer, at).kept
    assert world.jobs == ["0.18.9"]


def test_it_is_taken_as_often_as_it_was_measured_there(measurer: Measurer, world: World, tmp_path: Path) -> None:
    at = point(tmp_path)
    keep(measurer, at, "pass", "unsupported")
    assert [one(measurer, at, i).outcome.verdict for i in (0, 1)] == ["pass", "unsupported"]
    assert world.jobs == []
    assert not one(measurer, at, 2).kept
    assert world.jobs == ["0.18.9"]
    assert one(measurer, at, 2).kept, "the third measurement was kept in its turn"
    assert world.jobs == ["0.18.9"]


def test_what_was_not_found_out_is_tried_again_after_a_day(measurer: Measurer, world: World, tmp_path: Path) -> None:
    at = point(tmp_path)
    world.ran = Ran("crashed", reason="rank 1 died")
    for kept in (False, True):
        crashed = one(measurer, at)
        assert (crashed.outcome, crashed.kept) == (Outcome("unknown"), kept)
        assert "rank 1 died" in (crashed.reason or "")
    long_ago = (dt.datetime.now(dt.UTC) - 2 * CRASH_KEPT).isoformat()
    with sqlite3.connect(measurer.history.path) as connection:
        connection.execute("update measurement set measured = ?", (long_ago,))
    assert not one(measurer, at).kept


def test_what_was_ever_different_is_not_taken_for_stable(measurer: Measurer, world: World, tmp_path: Path) -> None:
    at = point(tmp_path)
    keep(measurer, at, "pass", "pass", "unsupported")
    assert [one(measurer, at, i).outcome.verdict for i in (0, 1)] == ["pass", "unsupported"]
    assert world.jobs == []


def test_another_environment_is_another_point(measurer: Measurer, world: World, tmp_path: Path) -> None:
    keep(measurer, point(tmp_path), "fail", findings=[{"code": "loss.value", "message": ""}])
    other = point(tmp_path, "0.19.8", ["torch==2.13.0", "deepspeed==0.18.9", "numpy==2.0.0"])
    assert not one(measurer, other).kept
    same = point(tmp_path, "0.20", ["# the same, otherwise written", "deepspeed==0.18.9", "", "torch==2.13.0"])
    assert one(measurer, same).outcome == Outcome("fail", ("loss.value",))


def test_another_scenario_is_measured(measurer: Measurer, world: World, tmp_path: Path) -> None:
    keep(measurer, point(tmp_path), "pass")
    seeded = replace(measurer, plan=Plan((), (Choice("sft-ragged", 7),)))
    assert not one(seeded, point(tmp_path)).kept


def test_a_cause_is_looked_for_in_what_was_kept_too(measurer: Measurer, tmp_path: Path) -> None:
    at = point(tmp_path)
    keep(measurer, at, "fail", diagnoses=[diagnosis(SCALED)])
    assert one(replace(measurer, cause="dropped"), at).outcome == Outcome("pass")
    assert one(replace(measurer, cause="gradient-scale"), at).outcome == Outcome("fail", (SCALED,))


def test_points_come_back_in_their_order_kept_or_run(measurer: Measurer, world: World, tmp_path: Path) -> None:
    world.judged = WRONG
    points = [point(tmp_path, f"0.18.{i}") for i in range(6)]
    for i in (1, 4):
        keep(measurer, points[i], "unsupported")
    found = measurer.measure(points, [0] * 6)
    assert [m.kept for m in found] == [False, True, False, False, True, False]
    assert [m.outcome.verdict for m in found] == ["fail", "unsupported", "fail", "fail", "unsupported", "fail"]
    for i in (0, 2, 3, 5):
        assert found[i].command is not None
        assert f"0.18.{i}.txt" in str(found[i].command)


def test_what_is_run_tells_all_of_it(measurer: Measurer, world: World, tmp_path: Path) -> None:
    world.judged = WRONG
    found = one(measurer, point(tmp_path))
    assert found.outcome == Outcome("fail", (DROPPED,))
    assert [d.summary for d in found.diagnoses] == ["some are lost"]
    assert (found.kept, found.seconds) == (False, 2.5)
    assert found.trace is not None
    assert (measurer.out / found.trace).is_dir()


def test_every_measurement_has_a_folder_and_processes_of_its_own(
    measurer: Measurer, world: World, tmp_path: Path
) -> None:
    at = point(tmp_path)
    (measurer.out / "runs" / "notes").mkdir(parents=True)
    traces = [one(measurer, at, i).trace for i in range(3)]
    assert [str(trace).split("/")[:2] for trace in traces] == [["runs", number] for number in ("001", "002", "003")]
    assert len(world.jobs) == 3


def test_a_release_that_cannot_be_had_is_uninstallable(measurer: Measurer, world: World, tmp_path: Path) -> None:
    found = one(measurer, point(tmp_path, "0.18.1", ["torch==2.13.0"]))
    assert found.outcome == Outcome("uninstallable")
    assert found.reason is not None
    assert "do not hold the framework" in found.reason
    assert one(measurer, point(tmp_path, "0.1.0")).outcome == Outcome("uninstallable"), "no recipe covers it"
    assert one(measurer, Point("0.1.0", Request("deepspeed", "0.1.0"))).outcome == Outcome("uninstallable")
    assert world.jobs == []


def test_what_fails_to_build_only_now_is_uninstallable_too(measurer: Measurer, world: World, tmp_path: Path) -> None:
    world.broken = BuildFailed("deepspeed", "0.18.9", "its setup.py fails")
    found = one(measurer, point(tmp_path))
    assert (found.outcome, found.reason) == (Outcome("uninstallable"), "deepspeed 0.18.9: its setup.py fails")
    assert measurer.history.all() == ()


def test_a_machine_that_cannot_build_ends_it_all(measurer: Measurer, world: World, tmp_path: Path) -> None:
    world.broken = BuildFailed("deepspeed", "0.18.9", "the disk is full", local=True)
    with pytest.raises(Impossible, match=r"\A[^\n]*the disk is full\Z"):
        one(measurer, point(tmp_path))


def test_environments_that_cannot_be_written_end_it_all(measurer: Measurer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lost = replace(measurer, envs=tmp_path / "file")
    with pytest.raises(Impossible, match=r"\A[^\n]*choose another folder with LOCKSTEP_ENVS\Z"):
        one(lost, Point("0.18.9", Request("deepspeed", "0.18.9")))


@pytest.mark.parametrize("status", ["finished", "unsupported", "crashed"])
def test_a_history_that_takes_no_more_ends_it_all(
    measurer: Measurer, world: World, tmp_path: Path, status: str
) -> None:
    """What is not kept would be measured again each time that the same command goes on."""
    with sqlite3.connect(measurer.history.path) as connection:
        connection.execute("create trigger no before insert on measurement begin select raise(abort, 'full'); end")
    world.ran = Ran(status, reason="so it is")
    with pytest.raises(BadHistory, match=r"full.*LOCKSTEP_HISTORY"):
        one(measurer, point(tmp_path))

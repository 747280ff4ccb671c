"""A whole bisection over two dates, of outcomes that are all in the history: who is guilty, and how long it took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.bisection import inquiry, measure, question, record
from harness.bisection.dates import Days, Swap
from harness.bisection.inquiry import Inquiry
from harness.bisection.question import Question
from harness.bisection.record import Bisection
from harness.environments import pins
from harness.environments.installer import BuildFailed
from harness.environments.request import Request
from harness.history.store import History
from harness.session.plan import Choice, Plan
from harness.verdicts.verdict import CellRecord
from tests.harness.bisection.made import diagnosis
from tests.harness.bisection.test_measure import Silent

PLAN = Plan((), (Choice("sft-ragged"),))
NAMES = ("accelerate", "numpy", "rich", "transformers")
OLD, NEW = dt.date(2024, 12, 1), dt.date(2025, 6, 1)


class World:
    """What an environment gives, by the packages that are swapped in it; anything else does not install."""

    def __init__(self, folder: Path, wrong: Mapping[frozenset[str], str]) -> None:
        self.wrong = wrong
        self.history = History.open(folder / "history.sqlite")
        self.known: set[str] = set()

    def identify(self, request: Request, *_: object) -> str:
        assert request.pins is not None
        swapped = frozenset(pins.name(line) for line in pins.read(request.pins) if pins.version(line) == "2")
        if self.verdict(swapped) == "uninstallable":
            raise BuildFailed("trl", "0.12.2", "these do not go together")
        environment = "+".join(sorted(swapped)) or "none"
        if environment not in self.known:
            self.known.add(environment)
            self.keep(environment, self.verdict(swapped))
        return environment

    def verdict(self, swapped: frozenset[str]) -> str:
        return next((said for these, said in self.wrong.items() if these <= swapped), "pass")

    def keep(self, environment: str, verdict: str) -> None:
        fields = {
            "framework": "trl",
            "version": environment,
            "scenario": "sft-ragged",
            "verdict": verdict,
            "environment": environment,
            "scenario_hash": PLAN.scenario(PLAN.choices[0]).hash,
            "diagnoses": [diagnosis("gradient-scale: 1/4")] if verdict == "fail" else [],
        }
        for _ in range(2):
            self.history.add(CellRecord.model_validate(fields))


class Deaf:
    def asking(self, measured: int, made: int, left: int) -> None:
        pass


def searched(
    folder: Path,
    patch: pytest.MonkeyPatch,
    wrong: Mapping[frozenset[str], str],
    needs: Mapping[str, set[str]] | None = None,
) -> Bisection:
    world = World(folder, wrong)
    swaps = tuple(Swap(name, f"{name}==1", f"{name}==2") for name in NAMES)
    days = Days(
        Request("trl", "0.12.2"),
        (*(f"{name}==1" for name in NAMES), "trl==0.12.2"),
        swaps,
        folder / "pins",
        needs or {},
    )
    patch.setattr(measure.build, "identify", world.identify)
    patch.setattr(question.dates, "resolve", lambda *_: days)
    asked = Question("trl==0.12.2", by_date=True, first=str(OLD), last=str(NEW))
    given = Inquiry(asked, PLAN, folder / "out", world.history, folder / "envs", command="lockstep bisect trl")
    found = inquiry.search(given, Silent(), Deaf(), lambda _: None)
    assert record.read(folder / "out") == found
    return found


def guilt(found: Bisection) -> list[tuple[list[str], str | None]]:
    """Of each change the packages, and what they give alone."""
    return [(b.guilty, b.alone.verdict if b.alone else None) for b in found.boundaries]


def only(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_the_guilty_one_is_found_and_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(tmp_path, monkeypatch, {only("rich"): "fail"})
    assert [(b.before, b.after) for b in found.boundaries] == [("02 numpy", "03 rich")]
    assert guilt(found) == [(["rich 1 -> 2"], "fail")]
    assert "2 ranks" in found.scenario_told


def test_one_that_needs_another_is_not_enough_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(tmp_path, monkeypatch, {only("numpy", "rich"): "fail"})
    assert guilt(found) == [(["rich 1 -> 2"], "pass")]


def test_what_it_needs_is_swapped_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(tmp_path, monkeypatch, {only("numpy", "rich"): "fail"}, needs={"rich": {"numpy", "torch"}})
    assert guilt(found) == [(["rich 1 -> 2"], "fail")]


def test_one_that_does_not_install_alone_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {only("accelerate", "numpy"): "fail", only("numpy"): "uninstallable"}
    found = searched(tmp_path, monkeypatch, wrong)
    assert guilt(found) == [(["numpy 1 -> 2"], "uninstallable")]


def test_two_changes_have_each_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both the outcome is as with neither, so that only what lies between tells of them."""
    wrong = {only("numpy", "rich"): "unsupported", only("numpy"): "fail"}
    found = searched(tmp_path, monkeypatch, wrong)
    assert guilt(found) == [(["numpy 1 -> 2"], "fail"), (["rich 1 -> 2"], "pass")]


def test_the_first_package_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(tmp_path, monkeypatch, {only("accelerate"): "fail"})
    assert [(b.before, b.after) for b in found.boundaries] == [(str(OLD), "01 accelerate")]
    # What is first of all is alone already.
    assert guilt(found) == [(["accelerate 1 -> 2"], None)]


def test_where_mixtures_between_do_not_install_several_may_be_guilty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {only("numpy", "rich"): "fail", only("accelerate", "numpy"): "uninstallable"}
    found = searched(tmp_path, monkeypatch, wrong)
    assert [b.between for b in found.boundaries] == [["02 numpy"]]
    assert guilt(found) == [(["numpy 1 -> 2", "rich 1 -> 2"], "fail")]


def test_two_days_that_agree_have_nobody_guilty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(tmp_path, monkeypatch, {})
    assert found.boundaries == []
    assert [p.label for p in found.measured] == [str(OLD), str(NEW)]


@pytest.mark.parametrize(
    ("changes", "counted"),
    [({"complete": False}, True), ({"complete": True}, False), ({"complete": False, "command": "another"}, False)],
)
def test_the_time_of_a_stopped_run_of_the_same_command_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], counted: bool
) -> None:
    first = searched(tmp_path, monkeypatch, {only("rich"): "fail"})
    record.write(first.model_copy(update={"seconds": 500.0, **changes}), tmp_path / "out")
    assert (searched(tmp_path, monkeypatch, {only("rich"): "fail"}).seconds >= 500.0) == counted


def test_a_damaged_result_of_earlier_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bisect.json").write_text("{")
    assert searched(tmp_path, monkeypatch, {}).complete

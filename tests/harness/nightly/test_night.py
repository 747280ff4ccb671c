"""Whole nights, with the releases and the frameworks played: what is run, told, kept and gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.environments.request import Request
from harness.nightly import outbox, record
from harness.nightly.canaries import Canary
from harness.nightly.newest import Lookup
from harness.nightly.night import AGAIN, CANARIES, Ended, Parts, clear, hold
from harness.nightly.plan import Wish
from harness.nightly.space import Limits
from harness.session.folder import RunFolder
from harness.session.plan import Plan, release
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from tests.harness.nightly.made import DROPPED, cell

SCALE = "gradient-scale: 1/GA"
CANARY = Canary(release="deepspeed==0.18.9", scenario="sft-ragged-zero2-offload", cause=DROPPED)
WISH = Wish(only=("deepspeed", "trl"), patterns=("sft-ragged", "sft-equal"), canaries=(CANARY,))


REPORTING = 1000
"""As a number of cells after which a night is killed: while it writes what people read."""


class Killed(BaseException):
    """As a process that is killed: nothing after it runs."""


@dataclass
class World:
    """What is released, and how cells end: `kinds` of a cell by its name, for each run of it in turn."""

    newest: dict[str, str] = field(default_factory=lambda: {"deepspeed": "0.19.8", "trl": "1.16.0"})
    problems: tuple[str, ...] = ()
    wrong: dict[str, list[str | None]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    asked: Sequence[str] = ()
    """The packages whose releases were looked up."""
    no_pages: str | None = None
    """What is wrong with the pages for a browser."""
    killed_at: int | None = None
    """The cell, counted over all, before which everything ends."""
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def parts(self) -> Parts:
        return Parts(
            self.look_up,
            lambda request, pre: None,
            self.run,
            lambda t: f"# {t.title}\n",
            lambda folder: self.no_pages,
            self.report,
            lambda: self.now,
        )

    def report(self, ended: Ended) -> None:
        if self.killed_at == REPORTING:
            raise Killed
        self.reported.append(ended.night.name)

    def look_up(self, packages: Sequence[str], prereleases: bool) -> Lookup:
        self.asked = packages
        return Lookup(dict(self.newest), self.problems)

    def run(self, plan: Plan, folder: RunFolder, known: bool) -> Verdict:
        self.sessions.append(folder.path.name)
        for i, request in enumerate(plan.requests):
            for j, choice in enumerate(plan.choices):
                if plan.wants(request, choice):
                    folder.record((i, j), self._cell(request, choice.label, folder))
        return folder.write(complete=True)

    def _cell(self, request: Request, label: str, folder: RunFolder) -> CellRecord:
        version = release(request, request.version or "")
        name = f"{request.framework}=={version}/{label}"
        earlier = {c.name: c for c in verdict.read(folder.path).cells}.get(name)
        if earlier is not None:
            return earlier
        if self.killed_at is not None and len(self.ran) >= self.killed_at:
            raise Killed
        self.ran.append(name)
        if f"{name}" == f"{CANARY.release}/{CANARY.scenario}" and name not in self.wrong:
            kind: str | None = DROPPED
        else:
            kinds = self.wrong.get(name, [])
            kind = kinds.pop(0) if len(kinds) > 1 else kinds[0] if kinds else None
        more = {"framework": request.framework, "version": version, "scenario": label, "environment": "0" * 16}
        return cell(verdict="unknown", **more) if kind == "unknown" else cell(*([kind] if kind else []), **more)

    def night(self, home: Path, wish: Wish = WISH, command: tuple[str, ...] = ()) -> Ended:
        self.now += timedelta(days=1)
        self.sessions.clear()
        return hold(wish, home, command, self.parts())


NAME = "deepspeed==0.19.8/sft-ragged"


def actions(ended: Ended) -> list[tuple[str, str | None]]:
    return [(event.title, event.action) for event in ended.night.events]


def test_a_quiet_night(tmp_path: Path) -> None:
    world = World()
    ended = world.night(tmp_path)
    assert ended.night.status == 0
    assert world.sessions == [CANARIES, ended.night.name]
    assert [c.name for c in ended.verdict.cells] == [
        f"{release}/{scenario}"
        for release in ("deepspeed==0.19.8", "trl==1.16.0")
        for scenario in ("sft-ragged", "sft-equal")
    ]
    assert record.nights(tmp_path) == [ended.night]
    assert verdict.read(ended.folder).complete
    assert ended.night.before is None
    assert not ended.night.news


def test_a_new_finding_is_run_again_and_told_once(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    ended = world.night(tmp_path)
    assert world.sessions == [CANARIES, ended.night.name, AGAIN]
    assert world.ran.count(NAME) == 2
    assert ended.night.status == 1
    title = "deepspeed: dropped-micro-batches: all but the first and the last"
    assert actions(ended) == [(title, "open")]
    assert [c.name for c in verdict.read(ended.folder / AGAIN).cells] == [NAME]
    for _ in range(2):
        ended = world.night(tmp_path)
        assert AGAIN not in world.sessions, "an open finding needs no second run"
        assert actions(ended) == [(title, "update")]
        assert ended.night.status == 1
    assert len(outbox.load(tmp_path)) == 1


def test_a_finding_that_vanishes_is_closed_after_two_nights(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    world.night(tmp_path)
    world.wrong = {}
    assert [action for _, action in actions(world.night(tmp_path))] == [None]
    ended = world.night(tmp_path)
    assert [action for _, action in actions(ended)] == ["close"]
    assert ended.night.status == 0


def test_what_is_not_seen_twice_is_flaky_and_the_night_is_not_green(tmp_path: Path) -> None:
    ended = World(wrong={NAME: [DROPPED, None]}).night(tmp_path)
    assert [action for _, action in actions(ended)] == ["flaky"]
    assert ended.night.status == 3


def test_what_cannot_be_run_twice_is_not_told_and_the_night_is_not_green(tmp_path: Path) -> None:
    ended = World(wrong={NAME: [DROPPED, "unknown"]}).night(tmp_path)
    assert (actions(ended), outbox.load(tmp_path), ended.night.status) == ([], {}, 3)
    assert ended.night.unconfirmed == ("deepspeed: dropped-micro-batches: all but the first and the last",)


def test_a_lost_canary_is_red_whatever_else_there_is(tmp_path: Path) -> None:
    lost: dict[str, list[str | None]] = {f"{CANARY.release}/{CANARY.scenario}": [SCALE]}
    ended = World(wrong={**lost, NAME: [DROPPED]}).night(tmp_path)
    assert ended.night.status == 3
    (said,) = ended.night.lost
    assert "the harness no longer finds" in said.said
    assert SCALE in said.said


def test_the_canaries_bug_is_no_finding(tmp_path: Path) -> None:
    ended = World().night(tmp_path)
    assert ended.night.canaries[0].found
    assert outbox.load(tmp_path) == {}


def test_a_new_release_is_run_and_told(tmp_path: Path) -> None:
    world = World()
    world.night(tmp_path)
    world.newest["trl"] = "1.17.0"
    ended = world.night(tmp_path)
    assert ended.night.news == {"trl": "1.16.0 -> 1.17.0"}
    assert "trl==1.17.0" in ended.night.plan.requests
    assert ended.before is not None
    assert ended.night.before == ended.before.name


def test_a_night_is_held_against_the_last_one_of_its_own_wish(tmp_path: Path) -> None:
    """Another one, as of pre-releases, that lies between says nothing of what is new."""
    world = World()
    first = world.night(tmp_path).night
    world.newest["deepspeed"] = "0.20.0rc1"
    early = world.night(tmp_path, replace(WISH, prereleases=True)).night
    assert (early.before, early.news) == (None, {})
    world.newest, world.problems = {}, ("no answer",)
    after = world.night(tmp_path)
    assert (after.night.before, after.night.news) == (first.name, {})
    assert after.before is not None
    assert "deepspeed==0.19.8" in after.night.plan.requests


def test_a_limited_night_looks_up_what_it_is_limited_to_and_what_lies_under_it(tmp_path: Path) -> None:
    world = World()
    world.night(tmp_path, replace(WISH, only=("trl==1.16.0",)))
    assert {"trl", "torch"} <= set(world.asked)
    assert not {"verl", "openrlhf", "llamafactory"} & set(world.asked)


def test_two_nights_do_not_share_a_folder(tmp_path: Path) -> None:
    world = World()
    world.night(tmp_path)
    with pytest.raises(record.BadNight, match="see that the clock is right"):
        hold(WISH, tmp_path, (), world.parts())
    assert len(record.nights(tmp_path)) == 1


def test_without_an_index_the_last_nights_releases_are_run_and_it_is_not_green(tmp_path: Path) -> None:
    world = World(newest={"deepspeed": "0.20.0", "trl": "1.16.0"})
    world.night(tmp_path)
    world.newest, world.problems = {}, ("no answer",)
    ended = world.night(tmp_path)
    assert "deepspeed==0.20.0" in ended.night.plan.requests
    assert ended.night.status == 3


@pytest.mark.parametrize("point", range(7))
def test_a_killed_night_goes_on_with_the_same_releases_and_runs_nothing_twice(tmp_path: Path, point: int) -> None:
    """Killed before each of its cells in turn: one canary, four cells, two of them again."""
    wrong: dict[str, list[str | None]] = {NAME: [DROPPED], "trl==1.16.0/sft-equal": [SCALE]}
    world = World(wrong=wrong, killed_at=point)
    with pytest.raises(Killed):
        world.night(tmp_path)
    assert outbox.load(tmp_path) == {}
    world.killed_at = None
    world.newest["trl"] = "1.17.0"
    ended = hold(WISH, tmp_path, (), world.parts())
    assert len(record.nights(tmp_path)) == 1
    assert "trl==1.16.0" in ended.night.plan.requests
    assert len(world.ran) == 7
    assert [action for _, action in actions(ended)] == ["open", "open"]
    assert ended.night.status == 1


def test_a_night_that_is_killed_while_it_reports_reports_and_tells_the_same(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]}, killed_at=REPORTING)
    with pytest.raises(Killed):
        world.night(tmp_path)
    world.killed_at = None
    ended = hold(WISH, tmp_path, (), world.parts())
    assert world.reported == [ended.night.name]
    assert [action for _, action in actions(ended)] == ["open"]
    assert len(record.nights(tmp_path)) == 1


@pytest.mark.parametrize("point", [1, 2, 3, 4])
def test_a_night_that_is_killed_while_it_writes_tickets_tells_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """Before the first and after the first file, and so on: what is told is whole, and the same."""
    world = World(wrong={NAME: [DROPPED], "trl==1.16.0/sft-equal": [SCALE]})
    put, written = outbox.files.replace, list[Path]()

    def dies(path: Path, text: str) -> None:
        if path.parent.name == outbox.FOLDER:
            written.append(path)
            if len(written) == point:
                raise Killed
        put(path, text)

    monkeypatch.setattr(outbox.files, "replace", dies)
    with pytest.raises(Killed):
        world.night(tmp_path)
    monkeypatch.setattr(outbox.files, "replace", put)
    ended = hold(WISH, tmp_path, (), world.parts())
    assert [action for _, action in actions(ended)] == ["open", "open"]
    assert {t.action for t in outbox.load(tmp_path).values()} == {"open"}
    assert len(list((tmp_path / outbox.FOLDER).glob("*.md"))) == 2


@pytest.mark.parametrize(
    ("wish", "later", "goes_on"),
    [
        (WISH, timedelta(hours=1), True),
        (replace(WISH, jobs=3), timedelta(hours=1), True),
        (WISH, timedelta(hours=25), True),
        (WISH, timedelta(hours=31), False),
        (replace(WISH, only=("deepspeed",)), timedelta(hours=1), False),
        (replace(WISH, patterns=("sft-ragged",)), timedelta(hours=1), False),
    ],
)
def test_what_is_gone_on_with(tmp_path: Path, wish: Wish, later: timedelta, goes_on: bool) -> None:
    world = World(killed_at=2)
    with pytest.raises(Killed):
        world.night(tmp_path)
    world.killed_at = None
    world.now += later
    hold(wish, tmp_path, (), world.parts())
    assert len(record.nights(tmp_path)) == (1 if goes_on else 2)


def test_a_finished_night_is_not_gone_on_with(tmp_path: Path) -> None:
    world = World()
    world.night(tmp_path)
    world.now += timedelta(hours=1)
    hold(WISH, tmp_path, (), world.parts())
    assert len(record.nights(tmp_path)) == 2


def test_the_command_is_told_and_one_that_fails_leaves_the_night_not_green(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    assert world.night(tmp_path, command=("false",)).night.problems[0].startswith("the ticket command failed for")
    ended = world.night(tmp_path, command=("true",))
    assert ended.night.problems == ()
    assert [t.pending for t in ended.tickets.values()] == ["open"], "it had not heard of it before"
    assert [t.pending for t in outbox.load(tmp_path).values()] == [None]


def test_an_open_ticket_that_is_not_seen_tonight_is_told_all_the_same(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    assert world.night(tmp_path, command=("false",)).night.untold == ()
    world.wrong = {}
    other = world.night(tmp_path, replace(WISH, only=("trl",))).night
    (event,) = other.events
    assert (event.state, event.action, event.measured, other.status) == ("open", None, False, 0)
    (untold,) = other.untold
    assert "has not been told since; give --ticket-command again" in untold
    missed = world.night(tmp_path, command=("true",)).night
    (event,) = missed.events
    assert (event.state, event.action, event.measured, missed.status) == ("open", None, True, 0)
    assert world.night(tmp_path, replace(WISH, only=("trl",))).night.untold == ()


def test_an_open_ticket_whose_cell_is_unknown_tonight_is_not_green(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    world.night(tmp_path)
    world.wrong[NAME] = ["unknown"]
    night = world.night(tmp_path).night
    assert [(e.action, e.measured) for e in night.events] == [(None, False)]
    assert night.status == 3


def test_a_ticket_that_no_command_was_ever_told_of_is_no_complaint(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    assert [world.night(tmp_path).night.untold for _ in range(2)] == [(), ()]


def test_what_a_night_rests_on_is_kept_though_it_is_given_up(tmp_path: Path) -> None:
    """Killed after the tickets were written, and the next one comes too late to go on."""
    world = World(wrong={NAME: [DROPPED]}, killed_at=REPORTING)
    with pytest.raises(Killed):
        world.night(tmp_path)
    world.killed_at = None
    world.wrong[NAME] = ["unknown"]
    world.now += timedelta(days=2)
    given_up, later = [world.night(tmp_path).night, *record.nights(tmp_path)][1:]
    assert (given_up.finished, given_up.environments) == (None, ("0" * 16,))
    assert [event.action for event in given_up.events] == ["open"]
    (ticket,) = outbox.load(tmp_path).values()
    assert (ticket.seen, later.finished is not None) == (given_up.name, True)


@pytest.mark.parametrize("damage", ["a ticket", "the outbox"])
def test_a_damaged_ticket_is_told_before_anything_runs(tmp_path: Path, damage: str) -> None:
    path = tmp_path / outbox.FOLDER / "000000000000.json" if damage == "a ticket" else tmp_path / outbox.FOLDER
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    world = World()
    with pytest.raises(outbox.BadOutbox, match="move it away"):
        world.night(tmp_path)
    assert (world.ran, record.nights(tmp_path)) == ([], [])


def test_a_night_without_its_pages_says_so_and_is_not_green(tmp_path: Path) -> None:
    night = World(no_pages="there are no pages").night(tmp_path).night
    assert (night.problems, night.status) == (("there are no pages",), 3)


def test_old_nights_are_cleared_and_never_those_of_an_open_finding(tmp_path: Path) -> None:
    world = World(wrong={NAME: [DROPPED]})
    first = world.night(tmp_path)
    world.wrong[NAME] = ["unknown"]
    second = world.night(tmp_path)
    ended = clear(world.night(tmp_path), tmp_path, tmp_path / "envs", Limits(1e6, 0), 4e9)
    assert [item.name for item in ended.removed] == [second.night.name]
    assert (first.folder / verdict.FILE).exists()
    assert not (second.folder / verdict.FILE).exists()
    assert len(record.nights(tmp_path)) == 3

"""`lockstep nightly` as it is typed: wrong usage is one line, and so is what this machine cannot do.

Whole nights of real releases are in tests/frameworks/test_nightly.py.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import cli
from harness.commands.nightly import CLAIM
from harness.environments.claims import alone
from harness.judging.accepted import Entry
from harness.nightly import canaries, newest, night, real
from harness.nightly.newest import Lookup
from harness.nightly.night import Ended
from harness.nightly.record import FILE, NIGHTS, PAGE
from harness.nightly.space import Limits
from harness.session import real as session_real
from harness.session.folder import RunFolder
from harness.session.parts import Observer
from harness.session.plan import Plan, release
from harness.verdicts.verdict import Verdict
from tests.harness.nightly.made import DROPPED, cell

pytestmark = pytest.mark.slow

OPTIONS = ("dir", "only", "pre", "scenario", "jobs", "timeout", "accepted", "canaries", "ticket-command", "summary",
           "keep-days", "keep-gib", "envs")  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty.toml").write_text("")
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and the last line that is told."""
    status = cli.call(["nightly", *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    last = said.err.splitlines()[-1]
    assert last.startswith("lockstep: ")
    return status, last


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "torhc"], "did you mean 'torch'?"),
        (["--only", "trl==1.16.0,transformers==5.0"], "write NAME or NAME==VERSION"),
        (["--only", "trl>=1"], "no single release"),
        (["--only", "deepspeed==0.1.0"], "recipes cover deepspeed"),
        (["--scenario", "sft-raged"], "did you mean sft-ragged"),
        (["--jobs", "0"], "--jobs"),
        (["--timeout", "soon"], "--timeout"),
        (["--keep-days", "0"], "--keep-days"),
        (["--keep-gib", "-1"], "--keep-gib"),
        (["--accepted", "none.toml"], "none.toml cannot be read"),
        (["--canaries", "none.toml"], "none.toml cannot be read"),
        (["--canaries", "empty.toml"], "canary: Field required"),
        (["--ticket-command", "gh 'issue"], "quote it as for a shell"),
        (["--ticket-command", ""], "leave it out"),
        (["--summary", "none/summary.md"], "--summary none/summary.md cannot be written (No such file or directory)"),
        (["--summary", "."], "--summary . cannot be written (Is a directory)"),
        (["--dir", "file"], "file is a file; give a folder with --dir"),
        (["surplus"], "surplus"),
        (["--nightly"], "--nightly"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, line = refused(capsys, *arguments)
    assert status == 2
    assert said in line
    assert sorted(path.name for path in here.iterdir()) == ["empty.toml", "file"]


def test_help_names_every_option_and_the_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.call(["nightly", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"--{option} " in said for option in OPTIONS)
    assert "Exit status: 0 all right, 1 a confirmed divergence, 2 wrong usage, 3 a canary was not found" in said


def test_a_second_one_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone(here / "nights", CLAIM):
        status, line = refused(capsys, "--dir", "nights")
    assert status == 2
    assert "another night goes on in nights (process " in line


@dataclass(frozen=True)
class Noted:
    """What a session was made with."""

    plan: Plan
    envs: Path | None
    known: Sequence[Entry]
    warn: Callable[[str], None]


@pytest.fixture
def noted() -> list[Noted]:
    return []


@pytest.fixture
def frameworks(monkeypatch: pytest.MonkeyPatch, noted: list[Noted]) -> dict[str, str]:
    """Frameworks that are played: what is wrong in a cell, by its name. Every canary has its bug."""
    wrong = {f"{canary.release}/{canary.scenario}": canary.cause for canary in canaries.load()}

    class Played:
        def __init__(self, plan: Plan, folder: RunFolder, parts: Noted, watcher: Observer) -> None:
            self.plan, self.folder, self.watcher = plan, folder, watcher
            noted.append(parts)

        def run(self) -> Verdict:
            pairs = [(r, c) for r in self.plan.requests for c in self.plan.choices if self.plan.wants(r, c)]
            for i, (request, choice) in enumerate(pairs):
                version = release(request, request.version or "")
                kinds = filter(None, [wrong.get(f"{request.framework}=={version}/{choice.label}")])
                made = cell(*kinds, framework=request.framework, version=version, scenario=choice.label)
                self.folder.record((i, 0), made)
                self.watcher.recorded(made)
            return self.folder.write(complete=True)

    monkeypatch.setattr(real, "Session", Played)
    monkeypatch.setattr(session_real, "parts", Noted)
    monkeypatch.setattr(newest, "look_up", lambda *_: Lookup({"torch": "2.13.0"}))
    monkeypatch.setattr(newest, "underneath", lambda *_: None)
    return wrong


LIMITED = ("--dir", "d", "--only", "torch", "--scenario", "sft-ragged")


def test_a_quiet_night_is_told_in_some_lines(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    assert cli.call(["nightly", *LIMITED, "--summary", "summary.md"]) == 0
    said = capsys.readouterr().out
    assert ": green" in said
    assert f"canaries: {len(frameworks)} of {len(frameworks)} found" in said
    (page,) = (here / "d" / NIGHTS).glob(f"*/{PAGE}")
    assert page.read_text().startswith(f"# Night {page.parent.name}: green")
    assert (here / "summary.md").read_text() == page.read_text()


def test_a_new_finding_is_told_with_its_ticket(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    frameworks["torch==2.13.0/sft-ragged"] = DROPPED
    assert cli.call(["nightly", *LIMITED, "--ticket-command", "touch"]) == 1
    assert "New: 1" in capsys.readouterr().out
    (ticket,) = (here / "d" / "outbox").glob("*.md")
    assert "lockstep run --framework torch==2.13.0 --scenario sft-ragged" in ticket.read_text()
    assert (here / "open").exists(), "the command was called with the action"


def test_a_lost_canary_is_told_first(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    name, cause = next(iter(frameworks.items()))
    del frameworks[name]
    assert cli.call(["nightly", *LIMITED]) == 3
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.endswith("red, the harness is broken")
    assert f"the harness no longer finds {cause!r} in {name.replace('/', ' on ')}: the cell is pass" in second


KNOWN = """
[[accepted]]
framework = "torch"
versions = ">=2"
scenario = "sft-ragged"
code = "loss.value"
sentence = "it is so"
link = "https://example.org"
"""


def test_every_option_arrives(
    here: Path, monkeypatch: pytest.MonkeyPatch, frameworks: dict[str, str], noted: list[Noted]
) -> None:
    asked: list[bool] = []
    under: list[tuple[bool, Path]] = []
    cleared: list[tuple[Path, Path, Limits]] = []

    def clear(ended: Ended, home: Path, envs: Path, limits: Limits, now: float) -> Ended:
        cleared.append((home, envs, limits))
        return ended

    monkeypatch.setattr(newest, "look_up", lambda packages, pre: asked.append(pre) or Lookup({"torch": "2.13.0"}))
    monkeypatch.setattr(newest, "underneath", lambda request, pre, root, *_: under.append((pre, root)))
    monkeypatch.setattr(night, "clear", clear)
    (here / "accepted.toml").write_text(KNOWN)
    options = {"--jobs": "3", "--timeout": "77", "--accepted": "accepted.toml", "--envs": "e", "--keep-days": "5",
               "--keep-gib": "7"}  # fmt: skip
    assert cli.call(["nightly", *LIMITED, "--pre", *(word for pair in options.items() for word in pair)]) == 0
    assert (asked, under) == ([True], [(True, here / "e")])
    assert cleared == [(Path("d"), here / "e", Limits(5.0, 7 * 2**30))]
    guard, main = noted
    assert [(s.plan.jobs, s.plan.timeout, s.envs) for s in noted] == [(3, 77.0, Path("e"))] * 2
    assert ([entry.sentence for entry in main.known], guard.known) == (["it is so"], ()), "canaries are never known"
    assert [str(request) for request in main.plan.requests] == ["torch==2.13.0"]
    assert [choice.label for choice in main.plan.choices] == ["sft-ragged"]


def test_a_canary_that_fails_as_it_has_to_is_not_shown_as_a_failure(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    expected = len(frameworks)
    frameworks["torch==2.13.0/sft-ragged"] = DROPPED
    assert cli.call(["nightly", *LIMITED]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert sum("] canary " in line for line in lines) == expected
    assert [line.split()[-1] for line in lines if "] FAIL " in line] == ["torch==2.13.0/sft-ragged"] * 2


def test_what_goes_wrong_after_the_night_does_not_hide_what_it_found(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, frameworks: dict[str, str]
) -> None:
    def full(*_: object) -> Ended:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "d")

    monkeypatch.setattr(night, "clear", full)
    said = "the night is done all the same, and the next one tidies up"
    assert cli.call(["nightly", *LIMITED]) == 3
    told = capsys.readouterr()
    assert ": green" in told.out
    assert f"d cannot be used: No space left on device; {said}" in told.err
    time.sleep(1.1)  # a night's folder is named after its second
    frameworks["torch==2.13.0/sft-ragged"] = DROPPED
    assert cli.call(["nightly", *LIMITED]) == 1
    assert said in capsys.readouterr().err


def test_an_interruption_after_the_night_says_that_it_is_done(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, frameworks: dict[str, str]
) -> None:
    def interrupted(*_: object) -> Ended:
        raise KeyboardInterrupt

    monkeypatch.setattr(night, "clear", interrupted)
    status, line = refused(capsys, *LIMITED)
    assert (status, line) == (130, "lockstep: interrupted; the night is done, and the next one tidies up")
    (path,) = (here / "d" / NIGHTS).glob(f"*/{FILE}")
    assert json.loads(path.read_text())["finished"]


def test_a_page_that_cannot_be_added_at_the_end_is_told_after_the_night(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    """A device that opens, and takes nothing."""
    assert cli.call(["nightly", *LIMITED, "--summary", "/dev/full"]) == 3
    told = capsys.readouterr()
    assert ": green" in told.out
    assert "No space left on device; the night is done all the same" in told.err


def test_a_folder_that_is_no_nights_is_told_without_an_option_that_there_is_not(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, frameworks: dict[str, str]
) -> None:
    (here / "d").mkdir()
    (here / "d" / NIGHTS).write_text("")
    status, line = refused(capsys, *LIMITED)
    assert status == 3
    assert "--out" not in line
    assert line.endswith("cannot be written (Not a directory); mend that, and the night goes on")


CHANGED = ["", "{}", "null", "[" * 100_000, '{"name": "../../../esc"}', "\x00\xff"]


@pytest.mark.parametrize("text", CHANGED, ids=range(len(CHANGED)))
@pytest.mark.parametrize(
    ("place", "said"),
    [("outbox/000000000000.json", "the ticket"), (f"{NIGHTS}/20260101-000000/{FILE}", "move its folder away")],
)
def test_what_is_damaged_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str], place: str, said: str, text: str
) -> None:
    path = here / "d" / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    status, line = refused(capsys, *LIMITED)
    assert status == 3
    assert said in line


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x", "finished": None},
        {"name": "../../../esc", "finished": None},
        {"name": "20990101-000000", "finished": None},
        {"plan.newest": {"torch": "not a version"}},
        {"plan.requests": ["torch@/bin/sh"], "finished": None},
        {"cells": "all"},
    ],
    ids=str,
)
def test_a_record_that_was_changed_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str], changes: dict[str, object]
) -> None:
    assert cli.call(["nightly", *LIMITED]) == 0
    (path,) = (here / "d" / NIGHTS).glob(f"*/{FILE}")
    held = json.loads(path.read_text())
    for place, value in changes.items():
        *parents, last = place.split(".")
        (held[parents[0]] if parents else held)[last] = value
    path.write_text(json.dumps(held))
    capsys.readouterr()
    status, line = refused(capsys, *LIMITED)
    assert (status, "move its folder away" in line) == (3, True)
    assert not (here / "esc").exists()


def test_tickets_alone_are_told_without_a_night(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str]
) -> None:
    """What a night without a command left for it; once, and again where the command fails."""
    frameworks["torch==2.13.0/sft-ragged"] = DROPPED
    assert cli.call(["nightly", *LIMITED]) == 1
    alone = ["nightly", "--dir", "d", "--tickets-only"]
    before = sorted((here / "d" / NIGHTS).iterdir())
    assert cli.call([*alone, "--ticket-command", "false"]) == 3
    assert "the ticket command failed" in capsys.readouterr().err
    tell = f'{sys.executable} -c \'import sys; print(*sys.argv[1:2], file=open("told", "a"))\''
    assert [cli.call([*alone, "--ticket-command", tell]) for _ in range(2)] == [0, 0]
    assert (here / "told").read_text() == "open\n"
    assert sorted((here / "d" / NIGHTS).iterdir()) == before


def test_tickets_alone_need_a_command_and_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--dir", "d"], "give it with --ticket-command"), (["--dir", "none"], "give their folder")):
        command = [] if "d" in words else ["--ticket-command", "true"]
        status, line = refused(capsys, *words, "--tickets-only", *command)
        assert status == 2
        assert said in line


def test_a_folder_that_cannot_be_written_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = refused(capsys, "--dir", "file/deeper")
    assert status == 3
    assert "cannot be used" in line

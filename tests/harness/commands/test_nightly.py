"""`lockstep nightly` as it is typed: wrong usage is one line, and so is what this machine cannot do.

Whole nights of real releases are in tests/frameworks/test_nightly.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli
from harness.nightly import canaries, newest, real
from harness.nightly.lock import alone
from harness.nightly.newest import Lookup
from harness.nightly.record import FILE, NIGHTS, PAGE
from harness.session.folder import RunFolder
from harness.session.plan import Plan, release
from harness.verdict import Verdict
from tests.harness.nightly.made import DROPPED, cell

OPTIONS = ("dir", "only", "pre", "scenario", "jobs", "timeout", "known", "canaries", "ticket-command", "summary",
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
        (["--known", "none.toml"], "none.toml cannot be read"),
        (["--canaries", "none.toml"], "none.toml cannot be read"),
        (["--canaries", "empty.toml"], "canary: Field required"),
        (["--ticket-command", "gh 'issue"], "quote it as for a shell"),
        (["--ticket-command", ""], "leave it out"),
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
    with alone(here / "nights"):
        status, line = refused(capsys, "--dir", "nights")
    assert status == 2
    assert "another night goes on in nights (process " in line


@pytest.fixture
def frameworks(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Frameworks that are played: what is wrong in a cell, by its name. Every canary has its bug."""
    wrong = {f"{canary.release}/{canary.scenario}": canary.cause for canary in canaries.load()}

    class Played:
        def __init__(self, plan: Plan, folder: RunFolder, *_: object) -> None:
            self.plan, self.folder = plan, folder

        def run(self) -> Verdict:
            pairs = [(r, c) for r in self.plan.requests for c in self.plan.choices if self.plan.wants(r, c)]
            for i, (request, choice) in enumerate(pairs):
                version = release(request, request.version or "")
                kinds = filter(None, [wrong.get(f"{request.framework}=={version}/{choice.label}")])
                made = cell(*kinds, framework=request.framework, version=version, scenario=choice.label)
                self.folder.record((i, 0), made)
            return self.folder.write(complete=True)

    monkeypatch.setattr(real, "Session", Played)
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


@pytest.mark.parametrize(
    ("place", "said"),
    [("outbox/000000000000.json", "the ticket"), (f"{NIGHTS}/20260101-000000/{FILE}", "move its folder away")],
)
def test_what_is_damaged_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], frameworks: dict[str, str], place: str, said: str
) -> None:
    path = here / "d" / place
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    status, line = refused(capsys, "--dir", "d", "--only", "torch", "--scenario", "sft-ragged")
    assert status == 3
    assert said in line


def test_a_folder_that_cannot_be_written_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = refused(capsys, "--dir", "file/deeper")
    assert status == 3
    assert "cannot be used" in line

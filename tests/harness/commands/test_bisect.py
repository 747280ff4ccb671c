"""`lockstep bisect` as it is typed: wrong usage is one line, and what is in the history is put together to a result.

The package index and the resolver are played, and nothing is installed or run: all outcomes are in the history.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.bisection import measure, question, record, releases
from harness.environments import claims
from harness.environments.installer import BuildFailed
from harness.environments.releases import NoReleases, Release
from harness.environments.request import Request
from harness.history import store
from harness.history.store import History
from harness.session.plan import Choice, Plan
from harness.verdicts.verdict import CellRecord
from tests.harness.bisection.made import diagnosis

VERSIONS = tuple(f"0.{minor}.{patch}" for minor in (15, 16, 17) for patch in range(4))
SCENARIO = ("--scenario", "sft-ragged")
OPTIONS = ("scenario", "vary", "by-date", "repo", "good", "bad", "step", "from", "to", "prereleases", "all", "cause",
           "patch", "out", "jobs", "timeout", "envs", "json")  # fmt: skip
DROPPED = "dropped-micro-batches: 1, 2 of 4"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with a history of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "history.sqlite"))
    return tmp_path


def identity(request: Request, root: Path, note: Callable[[str], None]) -> str:
    """What an environment is known by, without resolving it."""
    return request.pins.stem if request.pins else str(request)


@pytest.fixture
def index(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that has twelve releases of everything, and a resolver that needs no network."""
    monkeypatch.setattr(releases, "releases", lambda package: tuple(Release(v, None, False) for v in VERSIONS))
    monkeypatch.setattr(question.resolution, "resolve", lambda *_: ("deepspeed==0.16.0", "torch==2.13.0"))
    monkeypatch.setattr(measure.build, "identify", identity)
    return here


def keep(environment: str, verdict: str, times: int = 2) -> None:
    fields = {
        "framework": "deepspeed",
        "version": environment,
        "scenario": "sft-ragged",
        "verdict": verdict,
        "environment": environment,
        "scenario_hash": Plan((), ()).scenario(Choice("sft-ragged")).hash,
        "diagnoses": [diagnosis(DROPPED)] if verdict == "fail" else [],
    }
    for _ in range(times):
        History.open(store.default_path()).add(CellRecord.model_validate(fields))


def wrong_from(first: str, fixed: str = "9") -> None:
    """The history of a framework that is wrong from one release on, until another."""
    for version in VERSIONS:
        keep(f"deepspeed=={version}", "fail" if first <= version < fixed else "pass")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and the one line of a command that does nothing else."""
    status = cli.call(["bisect", *arguments])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lockstep: ")
    assert said.err.count("\n") == 1
    return status, said.err


WRONG = [
    ([], "argument"),
    (["deepspeed"], "--scenario"),
    ([*SCENARIO], "argument"),
    (["deepspeed", "trl", *SCENARIO], "trl"),
    (["deepspeed", *SCENARIO, "--jobs", "0"], "--jobs"),
    (["deepspeed", *SCENARIO, "--timeout", "soon"], "--timeout"),
    (["deepspeed", *SCENARIO, "--form", "0.15"], "--form"),
    (["deepsped", *SCENARIO], "did you mean 'deepspeed'?"),
    (["deepspeed==0.18.9", *SCENARIO], "is one release; bisect deepspeed"),
    (["deepspeed@pins.txt", *SCENARIO], "one environment as it stands"),
    (["deepspeed", "--scenario", "sft-raged"], "did you mean sft-ragged"),
    (["deepspeed", "--scenario", "sft-*"], "a bisection runs one, such as"),
    (["deepspeed", "--scenario", "sft-ragged@one"], "no seed"),
    (["deepspeed", *SCENARIO, "--from", "newest"], "'newest' is no version"),
    (["deepspeed", *SCENARIO, "--from", "0.15.9"], "nearest: 0.15.3, 0.16.0"),
    (["deepspeed", *SCENARIO, "--from", "0.16.0", "--to", "0.15.0"], "swap them"),
    (["deepspeed", *SCENARIO, "--from", "0.16.0", "--to", "0.16.0"], "widen --from and --to"),
    (["deepspeed", *SCENARIO, "--good", "HEAD"], "with --repo"),
    (["deepspeed", *SCENARIO, "--repo", ".", "--from", "0.15"], "with --good and --bad"),
    (["deepspeed", *SCENARIO, "--repo", "none"], "none is no folder"),
    (["deepspeed", *SCENARIO, "--repo", "."], "not a git repository"),
    (["deepspeed", *SCENARIO, "--vary", "torch", "--by-date"], "give one of them"),
    (["deepspeed", *SCENARIO, "--vary", "a b"], "is not a package name"),
    (["deepspeed", *SCENARIO, "--vary", "deepspeed"], "leave out --vary"),
    (["deepspeed", *SCENARIO, "--by-date"], "give the older one with --from YYYY-MM-DD"),
    (["deepspeed", *SCENARIO, "--by-date", "--from", "0.15"], "'0.15' is no day"),
    (["deepspeed", *SCENARIO, "--by-date", "--from", "2025-01-02", "--to", "2025-01-01"], "swap them"),
    (["deepspeed", *SCENARIO, "--patch", "none.py"], "cannot read the patch"),
    (["deepspeed", *SCENARIO, "--out", "file"], "file is a file; give a folder with --out"),
    (["deepspeed", *SCENARIO, "--out", "full"], "full holds something other than a bisection"),
]  # fmt: skip


@pytest.fixture
def furnished(index: Path) -> Path:
    (index / "file").write_text("")
    (index / "full").mkdir()
    (index / "full" / "thesis.tex").write_text("")
    return index


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_usage(furnished: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    status, error = refused(capsys, *arguments)
    assert status == 2
    assert said in error


def test_step_needs_a_clone(furnished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = refused(capsys, "deepspeed", *SCENARIO, "--step")
    assert (status, "give --repo" in error) == (128, True)


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_git_bisect_takes_no_wrong_usage_for_a_bad_commit(
    furnished: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """It reads 1 to 124 as "this commit is bad", and stops from 128 on."""
    status, _ = refused(capsys, *arguments, "--step")
    assert status == 128


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.call(["bisect", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"--{option} " in said for option in OPTIONS)
    assert "Exit status: 0 found out, 2 wrong usage, 3 nothing could be found out." in " ".join(said.split())


@pytest.mark.parametrize("step", [False, True])
def test_what_this_machine_cannot_do_is_one_line(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: bool
) -> None:
    more = ["--repo", str(clone(index)), "--step"] if step else []

    def fail(*_: object) -> str:
        raise BuildFailed("deepspeed", "0.16.0", "the disk is full", local=True)

    monkeypatch.setattr(measure.build, "identify", fail)
    status, error = refused(capsys, "deepspeed", *SCENARIO, *more)
    assert (status, "the disk is full" in error) == (128 if step else 3, True)


def test_without_the_network_nothing_is_found_out(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(package: str) -> tuple[Release, ...]:
        raise NoReleases("the package index does not tell the releases: check the network")

    monkeypatch.setattr(releases, "releases", fail)
    assert refused(capsys, "deepspeed", *SCENARIO)[0] == 3


def test_a_damaged_history_is_one_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (index / "history.sqlite").write_bytes(b"\0" * 5000)
    status, error = refused(capsys, "deepspeed", *SCENARIO)
    assert (status, "the history" in error) == (3, True)


def test_a_folder_that_cannot_be_written_is_one_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (index / "file").write_text("")
    status, error = refused(capsys, "deepspeed", *SCENARIO, "--out", "file/deeper")
    assert status == 3
    assert "Not a directory" in error


# ---- a whole bisection of what is in the history


def test_what_is_known_is_put_together(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_from("0.16.1")
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--out", "result"]) == 0
    said = capsys.readouterr().out
    assert "0.16.0 -> 0.16.1" in said
    assert f"right -> {DROPPED}" in said
    assert (
        "the page: result/bisect.md; to paste into an issue: result/issue.md; for machines: result/bisect.json" in said
    )
    found = record.read(index / "result")
    assert [(b.before, b.after, b.causes_after) for b in found.boundaries] == [("0.16.0", "0.16.1", [DROPPED])]
    assert found.complete
    assert (found.scenario, found.target, found.kind) == ("sft-ragged", "deepspeed", "releases")
    assert all(p.kept == p.times for p in found.measured)
    assert (index / "result" / "bisect.md").read_text().startswith("# deepspeed on sft-ragged: 12 releases")
    assert (index / "result" / "issue.md").read_text().startswith("## deepspeed 0.16.1 to 0.17.3: dropped")


def test_json_is_the_file_and_nothing_else(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_from("0.16.1")
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--out", "result", "--json"]) == 0
    said = capsys.readouterr().out
    assert said == (index / "result" / "bisect.json").read_text()
    assert {"boundaries", "measured", "inferred", "uninstallable", "seconds"} <= set(json.loads(said))


def test_the_same_question_has_the_same_folder(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_from("0.16.1")
    for _ in range(2):
        assert cli.call(["bisect", "deepspeed", *SCENARIO, "--from", "0.15.1"]) == 0
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--cause", "gradient-scale"]) == 0
    folders = sorted(path.name for path in (index / ".runs").iterdir())
    of = "bisect-deepspeed-releases-sft-ragged"
    assert folders == [f"{of}-0.15.1", f"{of}-gradient-scale"]
    assert "no change was found" in capsys.readouterr().out


def test_everything_is_measured_if_that_is_asked(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_from("0.16.1", fixed="0.16.2")
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--all", "--out", "result"]) == 0
    found = record.read(index / "result")
    assert [p.label for p in found.measured] == list(VERSIONS)
    assert [(b.before, b.after) for b in found.boundaries] == [("0.16.0", "0.16.1"), ("0.16.1", "0.16.2")]


def test_a_line_on_which_nothing_can_be_told_is_status_3(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise BuildFailed("deepspeed", "0.16.0", "its setup.py fails")

    monkeypatch.setattr(measure.build, "identify", fail)
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--out", "result"]) == 3
    assert "nothing was found out" in capsys.readouterr().out
    found = record.read(index / "result")
    assert found.uninstallable
    assert {p.reason for p in found.uninstallable} == {"deepspeed 0.16.0: its setup.py fails"}


def test_what_was_interrupted_says_how_to_go_on(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_from("0.16.1")
    real, asked = identity, list[str]()

    def impatient(request: Request, root: Path, note: Callable[[str], None]) -> str:
        asked.append(str(request))
        if len(asked) > 6:
            raise KeyboardInterrupt
        return real(request, root, note)

    monkeypatch.setattr(measure.build, "identify", impatient)
    status, error = refused(capsys, "deepspeed", *SCENARIO, "--out", "result")
    assert (status, "the same command goes on from there" in error) == (130, True)
    stopped = record.read(index / "result")
    assert not stopped.complete
    assert stopped.left > 0
    monkeypatch.setattr(measure.build, "identify", identity)
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--out", "result"]) == 0
    assert record.read(index / "result").complete


# ---- one commit


def clone(folder: Path) -> Path:
    path = folder / "clone"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false", "-C", str(path))
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "one"], check=True)
    return path


def head(path: Path) -> str:
    ran = subprocess.run(["git", "-C", str(path), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return ran.stdout[:12]


@pytest.mark.parametrize(
    ("verdict", "status", "said"),
    [("pass", 0, "pass"), ("fail", 1, f"fail: {DROPPED}"), ("unsupported", 125, "unsupported")],
)
def test_git_bisect_is_told_of_one_commit(
    index: Path, capsys: pytest.CaptureFixture[str], verdict: str, status: int, said: str
) -> None:
    path = clone(index)
    keep(head(path), verdict, times=1)
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--repo", str(path), "--step"]) == status
    assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize("more", [["--good", "HEAD"], ["--bad", "HEAD"], ["--all"], ["--json"]])
def test_a_step_is_of_one_commit(index: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    status, error = refused(capsys, "deepspeed", *SCENARIO, "--repo", str(clone(index)), "--step", *more)
    assert (status, "no --good, --bad, --all or --json" in error) == (128, True)


def test_git_bisect_stops_at_a_fault_of_the_harness(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback's status is 1, which git would take for that of a bad commit."""

    def fail(*_: object) -> str:
        raise ZeroDivisionError("by zero\nand more")

    monkeypatch.setattr(measure.build, "identify", fail)
    status, error = refused(capsys, "deepspeed", *SCENARIO, "--repo", str(clone(index)), "--step")
    assert (status, "a fault of Lockstep itself: ZeroDivisionError: by zero and more (" in error) == (128, True)


def test_one_bisection_at_a_time_in_a_folder(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_from("0.16.1")
    with claims.exclusive(index / "result", "bisection"):
        status, error = refused(capsys, "deepspeed", *SCENARIO, "--out", "result")
    assert (status, "another bisection is at work in result" in error) == (2, True)
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--out", "result"]) == 0


def test_git_bisect_skips_a_commit_that_does_not_install(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise BuildFailed("deepspeed", "0123", "its setup.py fails")

    monkeypatch.setattr(measure.build, "identify", fail)
    assert cli.call(["bisect", "deepspeed", *SCENARIO, "--repo", str(clone(index)), "--step"]) == 125
    assert capsys.readouterr().out == "uninstallable: deepspeed 0123: its setup.py fails\n"

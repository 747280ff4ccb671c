"""A site file gives the defaults of every command, and what the command line says wins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from harness import cli
from harness.commands import running
from harness.session.plan import Plan
from harness.site import current
from harness.site.site import Site


@pytest.fixture(autouse=True)
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCKSTEP_SITE", raising=False)
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path / "envs"))
    yield
    current.use(Site(), None)


class Planned(Exception):
    """Instead of a run."""


def planned(monkeypatch: pytest.MonkeyPatch, *words: str) -> Plan:
    """What would be run."""
    plans: list[Plan] = []

    def verdict(plan: Plan, *rest: object) -> None:
        plans.append(plan)
        raise typer.Exit(0)

    monkeypatch.setattr(running, "verdict", verdict)
    assert cli.call([*words, "--scenario", "sft-equal", "--out", "out"]) == 0
    return plans[0]


TEXT = """
jobs = 3
timeout = 99
device = "cuda"
ranks = 1
[frameworks]
torch = "bin/python"
"""


def test_a_site_file_that_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text(TEXT)
    plan = planned(monkeypatch, "--site", "mine.toml", "run", "--framework", "torch", "--framework", "ddp")
    assert (plan.jobs, plan.timeout, plan.device, plan.ranks, plan.launcher) == (3, 99.0, "cuda", 1, "torchrun")
    own, other = plan.requests
    assert own.python == Path.cwd() / "bin/python"
    assert other.python is None
    assert capsys.readouterr().err == ""


def test_one_that_is_found_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lockstep.toml").write_text(TEXT)
    plan = planned(monkeypatch, "run", "--framework", "ddp")
    assert plan.jobs == 3
    assert capsys.readouterr().err == "lockstep: going by the site file lockstep.toml\n"


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lockstep.toml").write_text(TEXT)
    monkeypatch.setenv("LOCKSTEP_SITE", "lockstep.toml")
    said = {"--framework": "torch==2.13.0", "--jobs": "2", "--timeout": "7", "--device": "cpu", "--ranks": "2"}
    plan = planned(monkeypatch, "run", *(word for option in said.items() for word in option))
    assert (plan.jobs, plan.timeout, plan.device, plan.ranks, plan.launcher) == (2, 7.0, "cpu", 2, "template")
    assert plan.requests[0].python is None


def test_a_command_without_such_options_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text(TEXT)
    assert cli.call(["--site", "mine.toml", "list", "fixes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert cli.call(["--site", "mine.toml", "env", "list"]) == 0


def test_help_reads_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lockstep.toml").write_text("jobs = 0")
    assert cli.call(["--help"]) == 0
    assert cli.call(["doctor"]) == 2
    assert "lockstep.toml:1: jobs: " in capsys.readouterr().err


def test_git_bisect_does_not_take_a_bad_site_file_for_a_bad_commit() -> None:
    Path("lockstep.toml").write_text("jobs = 0")
    assert cli.call(["bisect", "torch", "--step", "--repo", "."]) == 128

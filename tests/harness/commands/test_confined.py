"""What `--pass-env` and `--sandbox` cannot do is told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli

COMMANDS = (
    ["run", "--framework", "torch", "--scenario", "sft-ragged"],
    ["bisect", "deepspeed", "--scenario", "sft-ragged"],
    ["nightly", "--only", "torch"],
    ["stock", "--framework", "trl"],
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert cli.call(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_machine_without_a_sandbox(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(here / "bin"))
    line = refused(capsys, [*command, "--sandbox"])
    assert line == "lockstep: --sandbox needs bwrap, which is not on PATH; install the package bubblewrap"
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NOT_SET_AT_ALL", "there is no such variable; set it, or leave the option out"),
        ("A=1", "is no variable's name; its value is taken from the environment"),
        ("OMP_NUM_THREADS", "Lockstep sets that itself for what it runs; leave the option out"),
    ],
)
def test_a_variable_that_cannot_be_passed_on(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], name: str, says: str
) -> None:
    line = refused(capsys, [*command, "--pass-env", name])
    assert line.startswith("lockstep: --pass-env ")
    assert line.endswith(says)
    assert not list(here.iterdir())

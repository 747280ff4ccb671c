"""Wrong command lines, made from the options that there are: each is one clear line on stderr and status 2 or 3."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer.main

from harness import cli
from tests.harmless import hidden
from tests.harness.commands import made
from tests.harness.wrong_lines import BASES, LINES, VALUES, spelled


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each kind of thing that a path may lead to."""
    here = tmp_path_factory.mktemp("wrong")
    made.run(here / "run", "sft-ragged")
    for name in ("empty", "other", "recording-damaged", "run-damaged", "run-empty", "trace-of-nothing"):
        (here / name).mkdir()
    (here / "file").write_text("precious")
    (here / "other" / "file").write_text("precious")
    (here / "diff").write_text("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n")
    (here / "binary").write_bytes(bytes(range(256)) * 10)
    (here / "binary.yaml").write_bytes(bytes(range(256)) * 10)
    (here / "sft.yaml").write_text("model_name_or_path: m\nlearning_rate: 1e-5\n")
    (here / "grpo.yaml").write_text("num_generations: 4\nscale_rewards: none\n")
    (here / "run-damaged" / "verdict.json").write_text('{"schema": 1, "cells": [')
    (here / "run-empty" / "verdict.json").write_text('{"schema": 1, "cells": []}')
    (here / "recording-damaged" / "recording.json").write_text("{}")
    (here / "trace-of-nothing" / "header.json").write_bytes(b"\x00\xff")
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "fifo")
    return here


@pytest.fixture(autouse=True)
def offline(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a line is taken for right after all, it does not get far."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("LOCKSTEP_HISTORY", str(place / "history.sqlite"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")


def judged(status: int, out: str, err: str) -> None:
    assert status in (2, 3)
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("lockstep: ")
    assert "a fault of Lockstep itself" not in err
    assert not hidden(err)
    assert len(err) < 4200


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", LINES, ids=spelled)
def test_it_is_one_line_and_status_2_or_3(line: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.call(line)
    told = capsys.readouterr()
    judged(status, told.out, told.err)
    assert Path("file").read_text() == "precious"


def test_there_are_many() -> None:
    assert len(set(LINES)) > 400


def commands() -> Iterator[tuple[str, Any]]:
    whole: Any = typer.main.get_command(cli.app)  # a group of click's, of which typer may have its own copy
    for name, command in whole.commands.items():
        inner = getattr(command, "commands", {})
        yield from ((f"{name} {sub}", each) for sub, each in inner.items()) if inner else [(name, command)]


def test_every_option_with_a_value_is_among_them() -> None:
    """A new option is given wrong values too, or stands here with the reason why none is wrong."""
    for name, command in commands():
        options = {
            param.opts[-1] if param.param_type_name == "option" else ""
            for param in command.params
            if not getattr(param, "is_flag", False)
        }
        given = set(VALUES[name]) | {option for option in BASES[name] if option in options}
        assert options - {"", "--help"} <= given, name


SOME = LINES[:: len(LINES) // 20]


@pytest.mark.slow
@pytest.mark.parametrize("line", SOME, ids=spelled)
def test_a_process_says_the_same(line: Sequence[str]) -> None:
    """By the entry point, which has streams of its own."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lockstep"), *line], capture_output=True, text=True, check=False, timeout=120
    )
    judged(done.returncode, done.stdout, done.stderr)

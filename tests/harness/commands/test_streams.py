"""Streams that are full, whose reader has gone, or that know ASCII alone: one line at most, and the right status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.harness.commands import made

pytestmark = pytest.mark.slow

FULL = Path("/dev/full")
LOCKSTEP = Path(sys.executable).with_name("lockstep")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and a history beside it."""
    folder = tmp_path_factory.mktemp("streams")
    made.run(folder / "run", "sft-ragged \N{RIGHTWARDS ARROW} x" * 50)
    made.history(folder / "history.sqlite", "torch")
    return folder


COMMANDS = (
    ("--version",),
    ("--help",),
    ("run", "--help"),
    ("judge", "run"),
    ("judge", "run", "--json"),
    ("explain", "run"),
    *(("report", "run", "--format", each, "--out", "-") for each in ("terminal", "markdown", "junit", "github")),
    ("report", "run"),
    ("history",),
    ("history", "--json"),
    ("history", "--html", "-"),
    *(("list", each) for each in ("scenarios", "frameworks", "faults", "findings", "fixes")),
    ("list", "faults", "--markdown"),
    ("env", "list", "--envs", "envs"),
    ("env", "prune", "--all", "--envs", "envs"),
    ("doctor", "--envs", "envs"),
)
"""All that print and need no framework."""

LONG = ("judge", "run", "--json")
"""More than a pipe holds, and its status is 1: a divergence."""


def variables(folder: Path, more: Mapping[str, str] = {}) -> dict[str, str]:
    return {**os.environ, "LOCKSTEP_HISTORY": str(folder / "history.sqlite"), **more}


def ended(
    folder: Path, arguments: Sequence[str], stdout: int | IO[bytes] = subprocess.PIPE, **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [LOCKSTEP, *arguments],
        cwd=folder,
        env=variables(folder, more),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line_and_status_3(folder: Path, arguments: Sequence[str]) -> None:
    with FULL.open("wb") as disk:
        done = ended(folder, arguments, disk)
    assert done.stderr == b"lockstep: standard output cannot be written: No space left on device\n"
    assert done.returncode == 3


def test_a_reader_who_goes_is_no_error_and_the_status_stays(folder: Path) -> None:
    with subprocess.Popen(
        [LOCKSTEP, *LONG], cwd=folder, env=variables(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b'{\n "schema'
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 1


@pytest.mark.parametrize("arguments", [LONG, ("report", "run", "--format", "terminal"), ("history",)], ids=" ".join)
def test_nobody_who_reads_at_all(folder: Path, arguments: Sequence[str]) -> None:
    expected = ended(folder, arguments).returncode
    read, write = os.pipe()
    os.close(read)
    try:
        done = ended(folder, arguments, write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (expected, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_streams_that_are_closed(folder: Path, closed: str) -> None:
    done = subprocess.run(
        f"exec '{LOCKSTEP}' judge run {closed}",
        shell=True,
        cwd=folder,
        env=variables(folder),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (3 if ">/dev/full 2" in closed else 1)
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("arguments", [("judge", "run"), ("explain", "run"), ("list", "faults")], ids=" ".join)
def test_a_stream_that_knows_fewer_characters(folder: Path, arguments: Sequence[str], encoding: str) -> None:
    done = ended(folder, arguments, PYTHONIOENCODING=encoding)
    assert done.stderr == b""
    assert done.returncode in (0, 1)
    if arguments[0] != "list":
        assert ("\N{RIGHTWARDS ARROW}".encode() if encoding == "utf-8" else b"\\u2192") in done.stdout


def test_a_name_that_is_no_text(folder: Path) -> None:
    done = subprocess.run(
        [os.fsencode(LOCKSTEP), b"judge", b"caf\xe9"], cwd=folder, capture_output=True, check=False, timeout=120
    )
    assert done.stderr.startswith(b"lockstep: caf\\udce9 is no folder")
    assert done.returncode == 2


def test_a_wrong_command_line_with_a_full_stderr_keeps_its_status(folder: Path) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run([LOCKSTEP, "frobnicate"], stderr=full, stdout=subprocess.PIPE, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, b"")

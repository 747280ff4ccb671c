"""Temporary folders: gone at the end, and those of the dead gone with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import temporary

OWNER = """
import sys
from harness import temporary
with temporary.folder("test") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary.sweep.cache_clear()
    return tmp_path


def owner(everything: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process with a folder, and that folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(everything)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_there_and_then_gone(everything: Path) -> None:
    with temporary.folder("test") as folder:
        (folder / "file").touch()
        assert [path.name for path in everything.iterdir()] == [folder.name]
        assert folder.stat().st_mode & 0o077 == 0, "it is for this user alone"
    assert not list(everything.iterdir())


def test_what_the_dead_have_left_goes_and_what_the_living_have_stays(everything: Path) -> None:
    dead, left = owner(everything)
    alive, kept = owner(everything)
    (left / "file").touch()
    dead.kill()
    dead.communicate()
    with temporary.folder("test"):
        assert not left.exists()
        assert kept.is_dir()
    alive.communicate()
    assert not list(everything.iterdir())


def test_what_still_runs_for_the_dead_is_ended(everything: Path) -> None:
    """A process whose owner and keeper were both killed."""
    dead, left = owner(everything)
    dead.kill()
    dead.communicate()
    orphan = subprocess.Popen(["sleep", "600"], env={"TMPDIR": str(left / "scratch")})
    neighbour = subprocess.Popen(["sleep", "600"], env={"TMPDIR": f"{left}-too"})
    with temporary.folder("test"):
        assert orphan.wait(10) == -9
        assert neighbour.poll() is None
    neighbour.kill()
    neighbour.wait()


def test_what_is_not_ours_stays(everything: Path) -> None:
    (everything / "elsewhere").mkdir()
    (everything / "lockstep_run_abcdefgh").symlink_to("elsewhere")
    for name in ("lockstep_", "lockstep_mine", "my-lockstep_run_abcdefgh", "lockstep_run_ABCDEFGH"):
        (everything / name).mkdir()
    (everything / "lockstep_run_12345678").touch()
    (everything / ".lockstep_run_abcdefgh").mkdir()  # of somebody who is just making it
    before = sorted(everything.iterdir())
    with temporary.folder("test"):
        pass
    assert sorted(everything.iterdir()) == before


def test_one_whose_owner_died_while_making_it_goes_a_while_later(everything: Path) -> None:
    left = everything / ".lockstep_run_abcdefgh"
    left.mkdir()
    os.utime(left, (0, 0))
    with temporary.folder("test"):
        assert not left.exists()

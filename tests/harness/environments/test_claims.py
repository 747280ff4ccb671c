"""One process at a time in a folder, with real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.environments import claims
from harness.environments.claims import Taken, alone

HOLD = """
import sys, time
from pathlib import Path
from harness.environments.claims import alone
with alone(Path(sys.argv[1]), "night"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_one_is_told_which_process_it_is_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(Taken, match=rf"process {holder.pid}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
        alone(tmp_path, "night"),
    ):
        pass
    with alone(tmp_path, "run"):  # another claim
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with (
        alone(tmp_path, "night"),
        pytest.raises(Taken, match=f"process {os.getpid()}"),
        alone(tmp_path, "night"),
    ):
        pass
    with alone(tmp_path, "night"):
        pass


def test_what_is_busy_within_is_not_taken_for_the_claim_itself(tmp_path: Path) -> None:
    with (
        pytest.raises(claims.Busy),
        alone(tmp_path, "run"),
        claims.exclusive(tmp_path, "x"),
        claims.exclusive(tmp_path, "x"),
    ):
        pass


def test_a_file_system_without_locks_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="its file system has no file locks") as caught, alone(tmp_path, "run"):
        pass
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("what", ["link", "folder link", "pipe"])
def test_a_claim_that_leads_elsewhere_is_refused(tmp_path: Path, what: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    if what == "folder link":
        (root / claims.FOLDER).symlink_to(outside)
    else:
        (root / claims.FOLDER).mkdir()
        place = root / claims.FOLDER / "run"
        os.mkfifo(place) if what == "pipe" else place.symlink_to(outside / "file")
    with pytest.raises(OSError), alone(root, "run"):
        pass
    assert list(outside.iterdir()) == []


def test_what_stands_in_a_claim_of_somebody_else_is_told_only_if_it_can_be_printed(tmp_path: Path) -> None:
    with claims.exclusive(tmp_path, "run") as descriptor:
        os.write(descriptor, b"process 7\x1b[2J")
        with pytest.raises(Taken, match=r"^just begun$"), alone(tmp_path, "run"):
            pass

"""A run's folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.session.folder import CELLS, LOGS, PAGES, SCENARIOS, BadFolder, RunFolder, alone, unused
from harness.session.plan import Choice
from harness.verdicts import verdict


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadFolder, match="something other than a lockstep run"), RunFolder.claim(tmp_path):
        pass
    with pytest.raises(BadFolder, match="is a file"), RunFolder.claim(tmp_path / "thesis.tex"):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


HOLD = """
import sys, time
from pathlib import Path
from harness.session.folder import RunFolder
with RunFolder.claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_is_told_who_holds_the_folder_and_changes_nothing(tmp_path: Path, resume: bool) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    (tmp_path / CELLS).mkdir()
    before = sorted(tmp_path.rglob("*"))
    told = rf"{re.escape(str(tmp_path))} is being written by another lockstep \(process {holder.pid}, since .*\); wait"
    with pytest.raises(BadFolder, match=told), RunFolder.claim(tmp_path, resume):
        pass
    assert sorted(tmp_path.rglob("*")) == before
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunFolder.claim(tmp_path, resume):
        pass


def test_a_run_that_was_killed_before_its_verdict_leaves_a_folder_that_can_be_used(tmp_path: Path) -> None:
    with alone(tmp_path):
        pass
    with RunFolder.claim(tmp_path) as folder:
        assert folder.cells == []


def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BadFolder, match=r"its file system has no file locks.*; choose another --out"):
        RunFolder.claim(tmp_path).__enter__()


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: unused(tmp_path / "runs"), range(24)))
    assert len(set(made)) == 24
    assert set(made) == set((tmp_path / "runs").iterdir())
    assert all(re.fullmatch(r"\d{8}-\d{6}(-\d+)?", path.name) for path in made)


@pytest.mark.parametrize("name", [verdict.FILE, CELLS, SCENARIOS, LOGS, PAGES])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, resume: bool) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    with RunFolder.claim(out):
        pass
    outside.mkdir()
    (outside / "precious").write_text("text")
    if name == verdict.FILE:
        (out / name).rename(outside / name)
    (out / name).symlink_to(outside / name if name == verdict.FILE else outside)
    before = {path: path.read_bytes() for path in outside.iterdir()}
    with pytest.raises(BadFolder, match=f"{name} is a symbolic link.*; remove the link"), RunFolder.claim(out, resume):
        pass
    assert {path: path.read_bytes() for path in outside.iterdir()} == before


def test_a_folder_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    with RunFolder.claim(tmp_path / "out") as folder:
        assert folder.trace("trl", "1.0", Choice("sft-equal")).parent.name == "trl-1.0"


@pytest.mark.parametrize(
    "place", ["cells/trl-1.0", "cells/trl-1.0/sft-equal", "logs/trl-1.0.txt", "scenarios/sft-equal"]
)
def test_no_place_of_a_run_leads_elsewhere(tmp_path: Path, place: str) -> None:
    with RunFolder.claim(tmp_path / "out") as folder:
        (folder.path / place).parent.mkdir(parents=True)
        (folder.path / place).symlink_to(tmp_path / "outside")
        choice = Choice("sft-equal")
        makers = {
            "cells": lambda: folder.trace("trl", "1.0", choice),
            "logs": lambda: folder.log("trl", "1.0"),
            "scenarios": lambda: folder.checkpoint(choice),
        }
        with pytest.raises(BadFolder, match="is a symbolic link"):
            makers[place.partition("/")[0]]()


def test_a_name_that_leads_out_of_the_run_is_refused(tmp_path: Path) -> None:
    with RunFolder.claim(tmp_path / "out") as folder:
        with pytest.raises(BadFolder, match="leads out of"):
            folder.trace("trl", "1.0", Choice("../../../precious"))
        with pytest.raises(BadFolder, match="leads out of"):
            folder.checkpoint(Choice("../precious"))

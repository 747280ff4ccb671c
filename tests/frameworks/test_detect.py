"""Faults and bugs that are found by cells of the standard matrices, with real processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from adapters.faults import CATALOGUE
from harness.detection import record, sets
from scenarios import get
from tests.faults import kinds
from tests.frameworks.command import COMMAND

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]


def told(out: Path, environments: Path, *more: str) -> subprocess.CompletedProcess[str]:
    given = [str(COMMAND), "detect", "--out", str(out), "--envs", str(environments), *more]
    return subprocess.run(given, cwd=out.parent, env=os.environ, capture_output=True, text=True, check=False)


def test_faults_are_found_and_a_second_time_nothing_is_run(tmp_path: Path, environments: Path) -> None:
    out = tmp_path / "found"
    options = ("--matrix", "smoke", "--fault", "keep-*", "--fault", "nesterov")
    done = told(out, environments, *options)
    assert done.returncode == 0, done.stderr
    found = record.read(out)
    states = {fault.name: fault.outcomes["smoke"].state for fault in found.faults}
    assert states.pop("nesterov") == "acts in none"
    assert set(states.values()) == {"found"}
    assert found.complete
    assert "| `keep-first` |" in (out / "detection.md").read_text()

    again = told(out, environments, *options)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "cells]" not in again.stderr


@pytest.mark.exhaustive
def test_a_gradient_that_is_cut_off_ends_no_process(tmp_path: Path, environments: Path) -> None:
    """DDP would wait for it."""
    done = told(tmp_path / "found", environments, "--matrix", "named", "--fault", "gradient-cut-by-checkpointing")
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
def test_a_bug_of_an_old_release_is_found_by_a_matrix(tmp_path: Path, environments: Path) -> None:
    done = told(tmp_path / "found", environments, "--matrix", "smoke", "--bug", "deepspeed-offload")
    assert done.returncode == 0, done.stderr
    [bug] = record.read(tmp_path / "found").bugs
    assert bug.outcomes["smoke"].state == "found"


@pytest.mark.exhaustive
def test_every_fault_that_acts_in_the_smoke_matrix_is_found(tmp_path: Path, environments: Path) -> None:
    done = told(tmp_path / "found", environments, "--matrix", "smoke", "--fault", "*")
    assert done.returncode in (0, 1), done.stderr  # 1: some are called otherwise beside so many other values
    found = record.read(tmp_path / "found")
    assert {fault.name for fault in found.faults} == set(CATALOGUE)
    assert set(sets.names()) > set(found.sets)
    for fault in found.faults:
        by = fault.outcomes["smoke"].found
        assert fault.outcomes["smoke"].state in ("found", "named otherwise", "acts in none"), fault.name
        if by is not None and by.named and (known := kinds.of(fault.name, get(by.scenario))):
            assert set(by.kinds) <= known, fault.name

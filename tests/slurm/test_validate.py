"""`lockstep validate --on slurm`, on a real Slurm of this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.environments import store
from tests.frameworks.command import wait_until
from tests.frameworks.test_validate import CONFIGURATION
from tests.frameworks.validated import validated
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(1200)]

ON = ("--on", "slurm")
PINS = "trl==1.16.0\n"


def test_it_says_what_is_said_here(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    before = _jobs(slurm)
    there = validated(tmp_path / "there", environments, CONFIGURATION, None, *ON, versions=PINS)
    assert there.status == 0, there.printed + there.said
    assert len({*_jobs(slurm)} - {*before}) == 1
    assert not (there.out / "job").exists()
    here = validated(tmp_path / "here", environments, CONFIGURATION, None, versions=PINS)
    assert there.record.runs == here.record.runs
    assert there.record.plan.step == here.record.plan.step


def test_a_node_builds_the_environment(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.toml").write_text(f'scratch = "{tmp_path / "scratch"}"\n')
    monkeypatch.setenv("LOCKSTEP_SITE", str(tmp_path / "site.toml"))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "resolved"))
    done = validated(tmp_path, Path("local"), CONFIGURATION, None, *ON, versions=PINS)
    assert done.status == 0, done.printed + done.said
    (built,) = store.stored(tmp_path / "scratch" / f"lockstep-envs-{os.geteuid()}")
    assert built.name.startswith("trl-1.16.0-")


def test_a_job_that_is_cancelled_leaves_it_unknown(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(validated, tmp_path, environments, CONFIGURATION, None, *ON, versions=PINS)
        assert wait_until((tmp_path / "out" / "first" / "log.txt").exists, 300)
        slurm.ask("scancel", *slurm.jobs())
        done = running.result()
    assert done.status == 3
    assert [run.reason and run.reason.endswith("was cancelled") for run in done.record.runs] == [True, True]


def _jobs(slurm: Cluster) -> list[str]:
    """Those that have ended, too."""
    return slurm.ask("squeue", "--noheader", "--states=all", "--format=%A").split()

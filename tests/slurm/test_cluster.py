"""The Slurm that these tests start: does it do what a site's does?"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.frameworks.command import wait_until
from tests.slurm.cluster import Cluster, cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.slow, pytest.mark.timeout(300)]


def test_it_runs_jobs_and_is_gone_afterwards() -> None:
    with cluster(3) as slurm:
        said = slurm.ask("srun", "--nodes=3", "printenv", "SLURMD_NODENAME")
        assert sorted(said.split()) == ["node1", "node2", "node3"]
        folder = slurm.variables["SLURM_CONF"].rpartition("/")[0]
    assert not _left(folder)


def test_an_array_is_run_and_cancelled(slurm: Cluster) -> None:
    slurm.ask("sbatch", "--array=0-9", "--output=/dev/null", "--wrap", "sleep 60")
    assert wait_until(lambda: "RUNNING" in slurm.jobs("%T"), 20)
    slurm.ask("scancel", "--name=wrap")
    assert slurm.quiet()


def test_a_drained_node_takes_no_job(slurm: Cluster) -> None:
    slurm.ask("scontrol", "update", "nodename=node1", "state=drain", "reason=test")
    try:
        assert {slurm.ask("srun", "printenv", "SLURMD_NODENAME").strip() for _ in range(3)} == {"node2"}
    finally:
        slurm.ask("scontrol", "update", "nodename=node1", "state=resume")


def _left(folder: str) -> list[Path]:
    """Processes with a word of that folder in their command lines."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if folder.encode() in _content(path)]


def _content(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""

"""One cell over two nodes of a job, on a real Slurm of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.frameworks import command
from tests.frameworks.command import Running, wait_until
from tests.frameworks.reading import sealed
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.frameworks, pytest.mark.timeout(1200)]

ONE = ("--framework", "ddp", "--scenario", "sft-ragged")
TWO_NODES = ("--on", "slurm", "--nnodes", "2")


def test_the_same_bits_as_on_one_node(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    here = command.run(tmp_path, environments, *ONE, "--launcher", "torchrun", name="here")
    there = command.run(tmp_path, environments, *ONE, *TWO_NODES, "--srun=--label", name="there")
    assert (here.status, there.status) == (0, 0), there.said
    assert (there.survivors, there.files) == ((), ())
    (one,), (other,) = here.verdict.cells, there.verdict.cells
    assert sealed(here.out / (one.trace or "")) == sealed(there.out / (other.trace or ""))
    nodes = [json.loads(log.read_text()) for log in there.out.glob("spools/*/workers/*.json")]
    assert nodes == [None], "jobs that took cells"
    assert slurm.quiet()


def test_a_node_that_is_lost_in_a_cell_means_one_more_job(slurm: Cluster, tmp_path: Path, environments: Path) -> None:
    running = Running(tmp_path, environments, *ONE, *TWO_NODES)
    assert wait_until(lambda: bool(list(running.out.glob("spools/*/taken/*/*.json"))), 120)
    slurm.kill("node2")
    slurm.start_node("node2")
    run = running.finish(600)
    assert [cell.verdict for cell in run.verdict.cells] in (["pass"], ["unknown"])
    assert (run.survivors, run.files) == ((), ())
    assert slurm.quiet(120)

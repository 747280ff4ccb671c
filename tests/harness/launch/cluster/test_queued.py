"""Cells of a framework that does as it is told, in jobs of a real Slurm: whatever is killed, none is lost."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.contract import END, Job
from harness.launch.cluster.queued import ClusterFailed, Queued
from harness.launch.cluster.slurm import Allocation
from harness.launch.local import Local
from harness.launch.outcome import Outcome
from tests.frameworks.command import wait_until
from tests.harness.launch.conftest import ADAPTER
from tests.slurm.cluster import Cluster, cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.slow, pytest.mark.timeout(600)]

Make = Callable[..., Job]
NAP = 10.0
"""Seconds of `nap_exit`."""


class Cells:
    """Cells handed to a runner at once, each from a thread of its own."""

    def __init__(self, runner: Queued) -> None:
        self._runner = runner
        self._pool = ThreadPoolExecutor(64)

    def hand(self, jobs: list[Job], timeout: float = 60.0) -> list[Future[Outcome]]:
        return [self._pool.submit(self._runner.run, each, timeout) for each in jobs]


@pytest.fixture
def told() -> list[str]:
    """What was noted while jobs were waited for."""
    return []


@pytest.fixture
def runner(slurm: Cluster, tmp_path: Path, variables: dict[str, str], told: list[str]) -> Callable[..., Queued]:
    def make(jobs: int = 1, at_once: int = 1, name: str = "spool", **asked: object) -> Queued:
        local = Local("template", Path(sys.executable), ADAPTER, variables, (), tmp_path / "log.txt", None)
        return Queued(local, Allocation(**asked), tmp_path / name, jobs, at_once, told.append)

    return make


@contextmanager
def started(runner: Queued) -> Iterator[Cells]:
    try:
        runner.start()
        yield Cells(runner)
    finally:
        runner.close()


def test_cells_end_as_they_do_here(runner: Callable[..., Queued], job: Make) -> None:
    jobs = [job(), job("raise"), job("exit"), job("hang")]
    with started(runner(at_once=2)) as cells:
        outcomes = [future.result(60) for future in cells.hand(jobs, timeout=3.0)]
    assert [outcome.status for outcome in outcomes] == ["finished", "crashed", "crashed", "timeout"]
    assert outcomes[0].exit_codes == {0: 0, 1: 0}
    assert outcomes[1].reason == "rank 1: ValueError: planted"
    assert (Path(jobs[0].trace) / END).exists()


def test_a_job_that_is_cancelled_leaves_its_cell_to_another_one(
    slurm: Cluster, runner: Callable[..., Queued], job: Make
) -> None:
    jobs = [job("nap"), job(), job()]
    with started(runner()) as cells:
        futures = cells.hand(jobs)
        wait_for_nap(jobs[0])
        slurm.ask("scancel", *slurm.jobs())
        assert [future.result(90).status for future in futures] == ["finished"] * 3
    assert (Path(jobs[0].trace) / END).exists()
    assert not Path(f"{jobs[0].trace}.again").exists()


@pytest.mark.exhaustive
def test_a_cell_whose_job_is_cancelled_twice_is_lost_and_no_other_one(
    slurm: Cluster, runner: Callable[..., Queued], job: Make
) -> None:
    long, short = job("nap_long"), job()
    with started(runner()) as cells:
        future, other = cells.hand([long, short])
        for trace in (long.trace, f"{long.trace}.again"):
            assert wait_until(lambda trace=trace: _naps(Path(trace)), 60)
            slurm.ask("scancel", *slurm.jobs())
        lost = future.result(60)
        assert other.result(60).status == "finished"
    assert lost.status == "crashed"
    assert lost.reason is not None
    assert "CANCELLED" in lost.reason
    assert lost.reason.endswith("ended while it ran there")


@pytest.mark.exhaustive
def test_a_node_that_dies_leaves_its_cell_to_another_one(
    slurm: Cluster, runner: Callable[..., Queued], job: Make
) -> None:
    jobs = [job("nap")]
    with started(runner()) as cells:
        futures = cells.hand(jobs)
        wait_for_nap(jobs[0])
        node = slurm.jobs("%N")[0]
        slurm.kill(node)
        try:
            assert futures[0].result(150).status == "finished"
        finally:
            slurm.start_node(node)
            assert wait_until(lambda: slurm.idle >= 1, 60)
    assert wait_until(lambda: slurm.idle == 2, 60)


@pytest.mark.exhaustive
def test_a_controller_that_is_restarted_changes_nothing(
    slurm: Cluster, runner: Callable[..., Queued], job: Make
) -> None:
    jobs = [job("nap"), job()]
    with started(runner()) as cells:
        futures = cells.hand(jobs)
        wait_for_nap(jobs[0])
        slurm.kill("slurmctld")
        outcomes = [future.result(90).status for future in futures]  # what runs does not need it
        slurm.start_controller()
        assert wait_until(lambda: slurm.idle >= 1, 60)
    assert outcomes == ["finished"] * 2


def test_closing_ends_its_own_jobs_and_no_others(slurm: Cluster, runner: Callable[..., Queued], job: Make) -> None:
    slurm.ask("sbatch", "--job-name=stranger", "--output=/dev/null", "--wrap", "sleep 300")
    jobs = [job("nap_long")]
    with started(runner()) as cells:
        futures = cells.hand(jobs)
        wait_for_nap(jobs[0])
    with pytest.raises(ClusterFailed, match="closed"):
        futures[0].result(10)
    try:
        assert wait_until(lambda: slurm.jobs("%j") == ["stranger"], 20)
    finally:
        slurm.ask("scancel", "--name=stranger")


@pytest.mark.exhaustive
def test_jobs_of_a_run_that_died_end_with_the_next_one(
    slurm: Cluster, runner: Callable[..., Queued], job: Make
) -> None:
    dead = runner()
    dead.start()
    before = slurm.jobs()
    dead._closing.set()  # as if its process had been killed: nobody ends its job
    with started(runner()) as cells:
        assert cells.hand([job()])[0].result(60).status == "finished"
        assert not {*before} & {*slurm.jobs()}


@pytest.mark.exhaustive
def test_a_job_whose_run_has_no_folder_any_more_ends(slurm: Cluster, runner: Callable[..., Queued]) -> None:
    dead = runner()
    dead.start()
    dead._closing.set()
    shutil.rmtree(dead._spool.root)
    assert slurm.quiet()


def test_what_slurm_refuses_is_told_in_one_line(runner: Callable[..., Queued]) -> None:
    refused = pytest.raises(ClusterFailed, match="invalid partition specified: nowhere")
    with refused, started(runner(partition="nowhere")):
        pass


def test_a_prolog_that_fails_is_told(runner: Callable[..., Queued]) -> None:
    with (
        pytest.raises(ClusterFailed, match="no such module") as failure,
        started(runner(prolog=("echo no such module >&2; exit 1",))),
    ):
        pass
    assert "FAILED" in str(failure.value)


@pytest.mark.exhaustive
def test_a_framework_that_does_not_start_is_told(slurm: Cluster, tmp_path: Path, variables: dict[str, str]) -> None:
    broken = {**variables, "AT_IMPORT": "die"}
    local = Local("template", Path(sys.executable), ADAPTER, broken, (), tmp_path / "log.txt", None)
    lost = Queued(local, Allocation(), tmp_path / "spool", 1, 1, lambda _: None)
    with pytest.raises(ClusterFailed, match="killed by SIGKILL"), started(lost):
        pass


@pytest.mark.exhaustive
def test_two_jobs_share_the_cells(slurm: Cluster, runner: Callable[..., Queued], job: Make) -> None:
    jobs = [job("nap_short") for _ in range(8)]
    with started(runner(jobs=2, nodes=2)) as cells:
        assert wait_until(lambda: len(slurm.jobs("%N")) == 2, 30)
        assert [future.result(90).status for future in cells.hand(jobs)] == ["finished"] * 8
        spool = cells._runner._spool
    assert len({*spool.taken().values()}) == 2


def wait_for_nap(job: Job) -> None:
    assert wait_until(lambda: _naps(Path(job.trace)), 60)


def _naps(trace: Path) -> bool:
    return (trace.parent / f"{trace.name}-naps").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize("nodes", [1, 2, 4, 8])
def test_more_nodes_take_more_cells(variables: dict[str, str], tmp_path: Path, job: Make, nodes: int) -> None:
    """Cells that sleep instead of computing, for all nodes share the cores of this machine."""
    with cluster(nodes) as slurm, pytest.MonkeyPatch.context() as patch:
        for name, value in slurm.variables.items():
            patch.setenv(name, value)
        local = Local("template", Path(sys.executable), ADAPTER, variables, (), tmp_path / "log.txt", None)
        runner = Queued(local, Allocation(nodes=nodes), tmp_path / "spool", nodes, 1, lambda _: None)
        with started(runner) as cells:
            assert wait_until(lambda: len(runner._spool.workers()) == nodes, 120)
            begun = time.monotonic()
            for future in cells.hand([job("nap_exit") for _ in range(4 * nodes)]):
                assert future.result(200).exit_codes == {0: 3, 1: 3}
            took = time.monotonic() - begun
    efficiency = 4 * NAP / took
    print(f"{nodes} nodes: {efficiency:.2f}")
    assert efficiency >= 0.8

"""Cells over two machines, each with a network address of its own: the same bits as on one, and nothing left where one
of them is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frameworks import command
from tests.frameworks.command import Run, Running, wait_until
from tests.frameworks.reading import sealed
from tests.frameworks.two_machines import TwoMachines, two_machines

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1200)]

DEEPSPEED = ("--framework", "deepspeed==0.19.8", "--scenario", "sft-ragged-zero2")
DDP = ("--framework", "ddp", "--scenario", "sft-ragged")
MODEL = 4 * 90_688
"""Bytes of the scenarios' parameters."""
LIMIT = 120
SILENT = 45.0
"""Seconds in which a machine notices that it does not hear of the other one, and has ended what ran there."""


@pytest.fixture(scope="module")
def machines() -> Iterator[TwoMachines]:
    with two_machines() as made:
        yield made


def test_two_addresses_of_this_machine(tmp_path: Path, environments: Path) -> None:
    here = command.run(tmp_path, environments, *DDP, "--launcher", "torchrun", name="here")
    there = command.run(tmp_path, environments, *DDP, "--hosts", "127.0.0.1,127.0.0.2", name="there")
    assert (here.status, there.status) == (0, 0), there.said
    assert (there.survivors, there.files) == ((), ())
    assert _trace(here) == _trace(there)


@pytest.mark.exhaustive
@pytest.mark.parametrize("cell", [DDP, DEEPSPEED])
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_same_bits_as_on_one_machine(
    machines: TwoMachines, tmp_path: Path, environments: Path, cell: tuple[str, ...], ranks: int
) -> None:
    chosen = (*cell, "--ranks", str(ranks), "--timeout", str(LIMIT))
    here = command.run(tmp_path, environments, *chosen, "--launcher", "torchrun", name="here")
    before = machines.sent
    there = command.run(tmp_path, environments, *chosen, *_over(machines, machines.inside), name="there")
    assert (here.status, there.status) == (0, 0), there.said
    assert (there.survivors, there.files) == ((), ())
    assert _left(machines) == []
    assert _trace(here) == _trace(there)
    assert machines.sent - before > MODEL, "bytes between the machines: gradients, at least"


@pytest.mark.exhaustive
def test_a_machine_whose_cable_is_taken_out_is_named(tmp_path: Path, environments: Path) -> None:
    with two_machines() as machines:
        running = _begun(machines, tmp_path, environments)
        machines.cut()
        run = running.finish(LIMIT + 60)
        (cell,) = run.verdict.cells
        assert (run.status, cell.verdict) == (3, "unknown")
        assert f"machine {machines.hosts[1]}: not heard of for 30 s" in (cell.reason or "")
        assert (cell.seconds or 0) < LIMIT
        assert (run.survivors, run.files) == ((), ())
        assert wait_until(lambda: not _left(machines), SILENT), "both machines end what they have"


@pytest.mark.exhaustive
def test_a_machine_on_which_all_is_killed_is_named(machines: TwoMachines, tmp_path: Path, environments: Path) -> None:
    running = _begun(machines, tmp_path, environments)
    for process in machines.processes(machines.hosts[1]):
        os.kill(process, signal.SIGKILL)
    run = running.finish(LIMIT + 60)
    (cell,) = run.verdict.cells
    assert (run.status, cell.verdict) == (3, "unknown")
    assert machines.hosts[1] in (cell.reason or "") or "rank 1: killed by SIGKILL" in (cell.reason or "")
    assert (run.survivors, run.files) == ((), ())
    assert wait_until(lambda: not _left(machines), 10)


@pytest.mark.exhaustive
def test_machines_end_what_they_have_when_the_run_is_killed(
    machines: TwoMachines, tmp_path: Path, environments: Path
) -> None:
    running = _begun(machines, tmp_path, environments)
    running.process.kill()
    running.finish(60)
    assert wait_until(lambda: not _left(machines), 15)


def _over(machines: TwoMachines, reach: str) -> tuple[str, ...]:
    return ("--hosts", ",".join(machines.hosts), "--reach", reach)


def _begun(machines: TwoMachines, folder: Path, environments: Path) -> Running:
    """A cell that does not end soon, once both of its ranks train."""
    endless = folder / "endless.toml"
    endless.write_text('base = "sft-ragged"\nname = "endless"\n[window]\nsteps = 400\n')
    chosen = ("--framework", "ddp", "--scenario", str(endless), "--timeout", str(LIMIT))
    running = Running(folder, environments, *chosen, *_over(machines, machines.by_ssh))
    trained = running.out / "cells"
    if not wait_until(lambda: len(list(trained.glob("*/*/steps-r0[01].jsonl"))) == 2, LIMIT):
        running.process.kill()
        pytest.fail(running.finish(60).said)
    return running


def _left(machines: TwoMachines) -> list[int]:
    return [process for host in machines.hosts for process in machines.processes(host)]


def _trace(run: Run) -> dict[str, str]:
    (cell,) = run.verdict.cells
    return sealed(run.out / (cell.trace or ""))

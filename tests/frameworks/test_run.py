"""`lockstep run` on real releases, from the outside: exit status, what is left behind, and what happens on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.history import store
from harness.history.store import History
from tests.frameworks import command
from tests.frameworks.command import Run, Running, needs_proc, wait_until

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

TORCH = "torch==2.13.0"


def bits(trace: Path) -> dict[str, bytes]:
    """All tensors of a trace, file by file."""
    return {path.name: path.read_bytes() for path in sorted((trace / "tensors").iterdir())}


def test_nothing_is_left_behind(older_deepspeed: Run) -> None:
    assert (older_deepspeed.survivors, older_deepspeed.files) == ((), ())


def test_all_cells_are_shown(older_deepspeed: Run) -> None:
    assert len(older_deepspeed.verdict.cells) == sum(older_deepspeed.verdict.summary.values())
    assert f"[{len(older_deepspeed.verdict.cells)}/{len(older_deepspeed.verdict.cells)}]" in older_deepspeed.said


@pytest.mark.exhaustive  # test_docs.py has such a run that fails, test_fixes.py one that passes
@pytest.mark.parametrize(("release", "status"), [("deepspeed==0.18.9", 1), ("deepspeed==0.19.8", 0)])
def test_a_single_cell(tmp_path: Path, environments: Path, release: str, status: int) -> None:
    run = command.run(tmp_path, environments, "--framework", release, "--scenario", "sft-ragged-zero2-offload")
    assert run.status == status, run.said
    assert [c.verdict for c in run.verdict.cells] == ["fail" if status else "pass"]


def test_what_was_measured_is_kept(tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "history.sqlite"))
    run = command.run(tmp_path, environments, "--framework", "torch", "--scenario", "sft-ragged", "--seeds", "2")
    kept = History.open(tmp_path / "history.sqlite")
    for cell in run.verdict.cells:
        (found,) = kept.find(cell.scenario_hash or "", cell.environment or "")
        assert (found.framework, found.scenario, found.verdict) == ("torch", cell.label, "pass")
    assert len(kept.all()) == len(run.verdict.cells) == 2


@pytest.mark.parametrize("options", [("--fault", "keep-first"), ()])
def test_nothing_is_kept_of_faults_nor_in_a_damaged_history(
    tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """The damage is told in one line, and the run is whole."""
    path = tmp_path / "history.sqlite"
    path.write_text("once upon a time")
    monkeypatch.setenv(store.VARIABLE, str(path))
    chosen = ["--framework", "torch", "--scenario", "sft-ragged", "--seeds", "2"]
    run = command.run(tmp_path, environments, *chosen, *options)
    assert [c.verdict for c in run.verdict.cells] == ["fail" if options else "pass"] * 2
    assert run.said.count("the history") == (0 if options else 1)
    assert path.read_text() == "once upon a time"


def test_both_launchers_give_the_same_bits(newest: Run, tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", TORCH, "--framework", "deepspeed==0.19.8", "--scenario", "sft-ragged"]
    cold = command.run(tmp_path, environments, *chosen, "--launcher", "torchrun")
    assert cold.status == 0, cold.said
    assert (cold.survivors, cold.files) == ((), ())
    for name in (f"{TORCH}/sft-ragged", "deepspeed==0.19.8/sft-ragged"):
        assert bits(cold.trace(name)) == bits(newest.trace(name))


def test_a_release_that_does_not_exist(tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", "deepspeed==99.0", "--framework", "torch", "--scenario", "sft-equal"]
    run = command.run(tmp_path, environments, *chosen)
    assert run.status == 3
    told = [line for line in run.said.splitlines() if line.startswith("lockstep: ")]
    assert len(told) == 1
    assert "there is no deepspeed 99.0" in told[0]
    assert "Traceback" not in run.said + run.printed
    assert run.cell(f"{TORCH}/sft-equal").verdict == "pass"
    assert run.cell("deepspeed==99.0/sft-equal").verdict == "unknown"


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)])
def test_an_interrupt_ends_everything_and_keeps_what_was_recorded(
    tmp_path: Path, environments: Path, number: signal.Signals
) -> None:
    running = Running(tmp_path, environments, "--framework", "torch", "--scenario", "sft-ragged", "--seeds", "200")
    assert wait_until(lambda: running.recorded > 1, 120.0)
    running.process.send_signal(number)
    run = running.finish(30.0)
    assert run.status == 130
    assert not run.verdict.complete
    assert {c.verdict for c in run.verdict.cells} == {"pass"}
    assert (run.survivors, run.files) == ((), ())
    assert "--resume" in run.said


@needs_proc
def test_a_rank_that_is_killed_ends_its_cell_alone(tmp_path: Path, environments: Path) -> None:
    run, hit = struck(tmp_path, environments, signal.SIGKILL)
    lost = run.cell(f"{TORCH}/{hit}")
    assert run.status == 3
    assert lost.verdict == "unknown"
    assert "rank 1: killed by SIGKILL" in (lost.reason or "")
    assert {c.verdict for c in run.verdict.cells if c is not lost} == {"pass"}


@needs_proc
def test_a_rank_that_hangs_ends_its_cell_alone(tmp_path: Path, environments: Path) -> None:
    run, hit = struck(tmp_path, environments, signal.SIGSTOP, "--timeout", "10")
    lost = run.cell(f"{TORCH}/{hit}")
    assert run.status == 3
    assert lost.verdict == "unknown"
    assert "not finished after 10 s" in (lost.reason or "")
    assert {c.verdict for c in run.verdict.cells if c is not lost} == {"pass"}


def struck(folder: Path, environments: Path, number: signal.Signals, *options: str) -> tuple[Run, str]:
    """A run of a few cells, one of whose ranks was sent a signal; and the cell's scenario with its seed."""
    chosen = ["--framework", "torch", "--scenario", "sft-ragged", "--seeds", "4", "--jobs", "1", *options]
    running = Running(folder, environments, *chosen)
    found: list[tuple[int, str]] = []
    assert wait_until(lambda: bool(found.extend(r for r in [running.rank(1)] if r) or found), 120.0)
    process, cell = found[0]
    os.kill(process, number)
    run = running.finish(120.0)
    assert (run.survivors, run.files) == ((), ())
    return run, cell

"""What is said to Slurm, and read of it. That it does so: `test_queued`."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.launch.cluster import slurm


def test_where_there_is_no_slurm_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(slurm.NoSlurm, match="sbatch, srun, squeue, scancel, not on PATH"):
        slurm.check()


def test_options_are_taken_apart() -> None:
    assert slurm._options(("--qos=high", "--exclusive", "--comment=a=b c")) == {
        "qos": "high",
        "exclusive": True,
        "comment": "a=b c",
    }


def test_what_has_not_ended_is_alive() -> None:
    states = {
        "1": "PENDING, Resources",
        "2": "RUNNING",
        "3": "NODE_FAIL, NodeDown",
        "4": "CANCELLED",
        "5": "COMPLETING",
    }
    assert slurm.alive(states) == {"1", "2", "5"}

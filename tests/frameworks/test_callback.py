"""The callback in the trainer of a real release, reporting to TensorBoard."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness import cli
from harness.environments import build
from harness.environments.request import parse

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    (file,) = folder.rglob("events*")
    events = EventAccumulator(str(file)).Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_what_a_trainer_logs_and_trains(environments: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two ranks. All that it computes, and all that it logs itself, is what it is without the callback."""
    python = build.ensure(parse("trl==1.16.0,tensorboard==2.21.0"), environments, print).python

    def ran(*words: str) -> list[str]:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu"}
        where = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29655"]
        script = str(Path(__file__).with_name("callback_trl.py"))
        command = [str(python), *where, script, *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "lockstep: " not in done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("parameters ")]

    alone, watched = ran("alone"), ran("watched", "recording")
    assert alone == watched != []
    found = scalars(tmp_path / "watched")
    ours = {tag: found.pop(tag) for tag in list(found) if tag.startswith("train/lockstep/")}
    timed = ("runtime", "per_second")
    theirs = {tag: values for tag, values in scalars(tmp_path / "alone").items() if not tag.endswith(timed)}
    assert {tag: values for tag, values in found.items() if not tag.endswith(timed)} == theirs
    assert ours["train/lockstep/unknown"] == {1: 0.0, 2: 0.0}
    assert ours["train/lockstep/trained_without_weight"] == {1: 0.0, 2: 0.0}
    assert ours["train/lockstep/largest_over_smallest"][1] == pytest.approx(1.0, abs=1e-5)
    assert ours["train/lockstep/learning_rate"][2] == pytest.approx(1e-3, rel=1e-3)
    capfd.readouterr()
    assert cli.call(["judge", str(tmp_path / "recording")]) == 0
    assert "every trained token of 4 micro-batches on 2 ranks weighs 1/" in capfd.readouterr().out

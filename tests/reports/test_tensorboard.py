"""TensorBoard events, read back by TensorBoard's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

from reports import series, source, tensorboard
from tests.reports import recorded


def test_every_value_is_in_the_events(good: Path, tmp_path: Path) -> None:
    run = source.load(recorded.run(good, tmp_path / "run"))
    out = tmp_path / "events"
    assert tensorboard.write(run, out) == 2
    read = EventMultiplexer().AddRunsFromDirectory(str(out))
    read.Reload()
    assert set(read.Runs()) == {"torch==simulated/small", "torch==older/small"}
    for cell in run.cells[:2]:
        for scalar in series.scalars(cell):
            events = read.Tensors(cell.record.name, scalar.tag)
            (event,) = [e for e in events if e.step == scalar.step]
            assert float(tensor_util.make_ndarray(event.tensor_proto)) == pytest.approx(scalar.value, rel=1e-6)


def test_a_strange_name_stays_in_the_folder(good: Path, tmp_path: Path) -> None:
    run = source.load(recorded.run(good, tmp_path / "run"))
    strange = run.cells[0].record.model_copy(update={"framework": "../../up", "scenario": "/etc"})
    moved = source.Source(run.folder, run.verdict, (source.Cell(strange, run.cells[0].trace),))
    before = set(tmp_path.rglob("*"))
    assert tensorboard.write(moved, tmp_path / "events") == 1
    assert {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.rglob("*")) - before} == {"events"}


def test_neither_torch_nor_tensorflow_is_needed() -> None:
    code = (
        "import sys, tensorboard.summary, reports.tensorboard, reports.wandb;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'tensorflow', 'wandb')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

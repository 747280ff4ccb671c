"""How far trainings are, by the lines that their frameworks have left."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import TRAINED_STEPS
from harness.commands import steps_left
from harness.commands.steps_left import StepsLeft
from harness.session.folder import CELLS


def test_steps_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(steps_left.time, "monotonic", lambda: now[0])
    left = tmp_path / CELLS / "torch-1" / "sums" / TRAINED_STEPS
    left.parent.mkdir(parents=True)
    left.write_text("{}\n" * 100)
    pace = StepsLeft(tmp_path, 2, 600)
    assert pace.tally(1) == "1/2 trainings, 100/600 steps"  # those of an earlier run tell no speed
    other = tmp_path / CELLS / "torch-1" / "sums@1" / TRAINED_STEPS
    other.parent.mkdir(parents=True)
    other.write_text("{}\n" * 200)
    now[0] += 40
    assert pace.tally(1) == "1/2 trainings, 300/600 steps, about 1 min 0 s left"
    other.write_text("{}\n" * 500)
    assert pace.tally(2) == "2/2 trainings, 600/600 steps"


def test_before_anything_is_there(tmp_path: Path) -> None:
    assert StepsLeft(tmp_path, 2, 600).tally(0) == "0/2 trainings, 0/600 steps"

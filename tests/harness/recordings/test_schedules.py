"""Schedulers that move once in a step, and those that move more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.recordings import reader, telling
from tests.harness.recordings import loops


@pytest.mark.parametrize("moves", [1, 2, 4])
def test_how_often_a_scheduler_moves(tmp_path: Path, moves: int) -> None:
    loops.record(tmp_path, lambda: loops.train(loops.llama(), moves=moves))
    found = [f.message for f in telling.tell(reader.read(tmp_path)).findings]
    wanted = (
        f"the scheduler (LinearLR) moved {moves} times in a step, from step 0 to 1:"
        f" if it counts steps, its schedule is over {moves} times too early"
    )
    assert found == ([] if moves == 1 else [wanted])

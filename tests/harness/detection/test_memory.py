"""A detection that was stopped goes on: what one harness knows of a cell is not asked again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from adapters.contract import vary
from harness.detection import record
from harness.detection.memory import Memory, TimeOver
from harness.detection.record import UnreadableDetection
from harness.fuzzing.cells import Cells, Planted
from scenarios import get
from tests.harness.session.world import TORCH, Ran, Watcher, World

PLAIN = get("sft-ragged")
WANTED: list[Planted] = [(PLAIN, None), (PLAIN, "keep-first"), (get("sft-equal"), "keep-first")]


def told(folder: Path, world: World) -> list[tuple[str, str | None, str]]:
    """One session: what it says of the cells that are wanted."""
    memory = Memory(folder)
    with Cells(TORCH, world.parts(), folder / "work", Watcher(), 1, 60.0) as cells:
        cells.start()
        found = memory.run(cells, WANTED)
    memory.keep()
    return [(cell.scenario, cell.fault, cell.verdict) for cell in found]


def test_each_cell_has_its_own_fault_and_is_run_once(tmp_path: Path) -> None:
    world = World()
    first = told(tmp_path, world)
    assert first == [
        ("sft-ragged", None, "pass"),
        ("sft-ragged", "keep-first", "pass"),
        ("sft-equal", "keep-first", "pass"),
    ]
    # Two are under way at once, so either may be the first that runs.
    assert Counter((job.scenario.name, job.fault) for job in world.jobs) == Counter(
        (name, fault) for name, fault, _ in first
    )
    assert told(tmp_path, world) == first
    assert len(world.jobs) == 3


def test_the_same_scenario_of_another_name_is_run_once_and_called_by_its_own(tmp_path: Path) -> None:
    world, memory = World(), Memory(tmp_path)
    with Cells(TORCH, world.parts(), tmp_path / "work", Watcher(), 1, 60.0) as cells:
        cells.start()
        names = [memory.run(cells, [(vary(PLAIN, name=name), None)])[0].scenario for name in ("one", "other")]
    assert names == ["one", "other"]
    assert len(world.jobs) == 1


def test_what_is_unknown_is_run_again(tmp_path: Path) -> None:
    crashing = World(play=lambda job: Ran("crashed", reason="no") if job.fault else Ran())
    assert [verdict for *_, verdict in told(tmp_path, crashing)] == ["pass", "unknown", "unknown"]
    world = World()
    assert [verdict for *_, verdict in told(tmp_path, world)] == ["pass"] * 3
    assert [job.fault for job in world.jobs] == ["keep-first"] * 2


@pytest.mark.parametrize("other", ["harness", "environment"])
def test_another_harness_or_environment_is_asked_again(tmp_path: Path, other: str) -> None:
    told(tmp_path, World())
    if other == "harness":
        record.write(record.read(tmp_path).model_copy(update={"harness": "another"}), tmp_path)
    world = World(locks={TORCH: "1" if other == "environment" else "0"})
    told(tmp_path, world)
    assert len(world.jobs) == 3


def test_when_the_time_is_over_nothing_is_begun(tmp_path: Path) -> None:
    told(tmp_path, World())
    world, memory = World(), Memory(tmp_path, 0.0)
    with Cells(TORCH, world.parts(), tmp_path / "work", Watcher(), 1, 60.0) as cells:
        cells.start()
        assert len(memory.run(cells, WANTED)) == len(WANTED)
        with pytest.raises(TimeOver):
            memory.run(cells, [*WANTED, (PLAIN, "keep-last")])
    assert world.jobs == []


def test_a_file_that_is_no_detection_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / record.FILE).write_text('{"cells": 3}')
    with pytest.raises(UnreadableDetection, match=r"detection\.json cannot be read"):
        Memory(tmp_path)

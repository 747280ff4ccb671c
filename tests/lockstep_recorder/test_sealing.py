"""When a recording is sealed, by whom, and what is taken away before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lockstep_recorder import sealing


def written(folder: Path, ranks: int) -> Path:
    (folder / "recording.json").write_text(json.dumps({"ranks": ranks}))
    for rank in range(ranks):
        (folder / f"steps-r{rank:02d}.jsonl").write_text('{"step": 0}\n')
    return folder


def test_the_last_rank_that_leaves_seals(tmp_path: Path) -> None:
    folder = written(tmp_path, 3)
    for rank in (1, 0):
        sealing.leave(folder, rank)
        assert not (folder / "end.json").exists()
    sealing.leave(folder, 2)
    seal = json.loads((folder / "end.json").read_text())
    assert set(seal["files"]) == {"recording.json", *(f"steps-r0{rank}.jsonl" for rank in range(3))}
    assert seal["files"]["recording.json"] == hashlib.sha256((folder / "recording.json").read_bytes()).hexdigest()
    assert not list(folder.glob("exchange*"))


def test_a_rank_that_leaves_before_there_is_a_header_is_counted(tmp_path: Path) -> None:
    sealing.leave(tmp_path, 1)
    sealing.leave(written(tmp_path, 2), 0)
    assert (tmp_path / "end.json").exists()


def test_what_was_left_half_written_is_taken_away(tmp_path: Path) -> None:
    folder = written(tmp_path, 1)
    (folder / "tensors").mkdir()
    (folder / "tensors/step-000000-r00.safetensors.7.partial").touch()
    with (folder / "steps-r00.jsonl").open("a") as lines:
        lines.write('{"step": 1}')
    sealing.tidy(folder)
    assert (folder / "steps-r00.jsonl").read_text() == '{"step": 0}\n'
    assert not list(folder.rglob("*.partial"))


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("half a li")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/steps-r00.jsonl").symlink_to(tmp_path / "elsewhere")
    sealing.tidy(tmp_path / "folder")
    assert (tmp_path / "elsewhere").read_text() == "half a li"


@pytest.mark.parametrize("name", ["recorder/x.py", "exchange/x", "x.partial", "end.json"])
def test_what_a_seal_does_not_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert sealing.digests(tmp_path) == {}

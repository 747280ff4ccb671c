"""Recordings that were damaged or edited: one line each, and never something else than what was sealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.recordings import making, reader, telling
from harness.recordings.reader import OfRank
from harness.traces.text_files import UnreadableTrace
from tests.harness.recordings import loops


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, steps=1))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


TENSORS = "tensors/step-000000-r00.safetensors"


@pytest.mark.parametrize("name", ["recording.json", "steps-r00.jsonl", TENSORS, "end.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_file_is_told(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-10] if damage == "cut" else content.replace(b"a", b"b", 1))
    if (name, damage) == ("end.json", "changed"):
        path.write_bytes(content.replace(b'"files"', b'"lies"'))
    with pytest.raises(UnreadableTrace) as error:
        reader.read(folder)
    assert "\n" not in str(error.value)


def edited(folder: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / name
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data) + "\n")
    making.seal(folder, 0)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(schema=2),
        lambda d: d.update(kind="trace"),
        lambda d: d.update(ranks=0),
        lambda d: d.update(ranks=10**6),
        lambda d: d.update(vocabulary="many"),
        lambda d: d.update(more=1),
        lambda d: d.pop("parameters"),
        lambda d: d["parameters"][0].update(name=3),
    ],
)
def test_a_header_that_does_not_fit(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    edited(folder, "recording.json", edit)
    with pytest.raises(UnreadableTrace):
        reader.read(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(step=-1),
        lambda d: d.update(shapes={"../../etc": [1]}),
        lambda d: d["shapes"].update({"token/delta": [2**30, 2**30]}),
        lambda d: d["shapes"].update({"token/delta": [3, 3]}),
        lambda d: d["shapes"].pop("token/delta"),
        lambda d: d.update(passes="all"),
    ],
)
def test_a_line_that_does_not_fit(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    edited(folder, "steps-r00.jsonl", edit)
    with pytest.raises(UnreadableTrace):
        reader.read(folder)


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    moved = (folder / "recording.json").rename(tmp_path / "elsewhere.json")
    (folder / "recording.json").symlink_to(moved)
    with pytest.raises(UnreadableTrace, match="symbolic link"):
        reader.read(folder)


def test_a_step_that_is_there_twice_is_refused(folder: Path) -> None:
    lines = folder / "steps-r00.jsonl"
    lines.write_bytes(lines.read_bytes() * 2)
    making.seal(folder, 0)
    with pytest.raises(UnreadableTrace, match="has step 0 twice"):
        reader.read(folder)


def test_a_step_that_not_all_ranks_have_recorded_is_unknown(folder: Path) -> None:
    edited(folder, "recording.json", lambda data: data.update(ranks=2))
    assert reader.read(folder).partial == (0,)
    assert "step 0: not all ranks have recorded it" in telling.tell(reader.read(folder)).unknown


@pytest.mark.parametrize(
    ("name", "shape", "why"),
    [
        ("token/loss", [1, 1], "has 2 axes, not 1"),
        ("after/matrix/exp_avg", [4], "has 1 axes, not 2"),
        ("after/matrix/exp_avg", [2, 2], "its sketches are not of one size"),
    ],
)
def test_tensors_of_other_shapes_are_refused(folder: Path, name: str, shape: list[int], why: str) -> None:
    edited(folder, "steps-r00.jsonl", lambda data: data["shapes"].update({name: shape}))
    with pytest.raises(UnreadableTrace, match=why):
        reader.read(folder)


@pytest.mark.parametrize("value", [["a", "b"], 10**400, {"a": 1}, None])
def test_settings_of_groups_are_numbers(folder: Path, value: object) -> None:
    edited(folder, "steps-r00.jsonl", lambda data: data["groups"][0].update(betas=value))
    with pytest.raises(UnreadableTrace):
        reader.read(folder)


def test_a_rank_that_had_no_batch(whole: Path) -> None:
    """Its part of the step is empty, and the others are weighed."""
    recording = reader.read(whole)
    (part,) = recording.steps[0]
    without = {name: tensor for name, tensor in part.tensors.items() if not name.startswith("token/")}
    idle = OfRank(part.line.model_copy(update={"passes": 0, "texts": []}), without)
    told = telling.tell(replace(recording, steps={0: (part, idle)}))
    assert not told.unknown
    assert "of 4 micro-batches on 2 ranks weighs" in told.sentences[0]

"""Recordings that were damaged or edited: one line each, and never something else than what was sealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.recordings import making, reader
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

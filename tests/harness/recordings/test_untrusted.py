"""Recordings that somebody made: bytes, lines and tensors of any kind under seals that are right. Each is read and
told, or refused in one line; nothing that it prints commands a terminal.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from harness import cli
from harness.recordings import making
from tests.fuzzing import examples
from tests.harmless import hidden
from tests.harness.recordings import loops
from tests.harness.test_untrusted import changed

pytestmark = pytest.mark.fuzz

SLOW = settings(
    deadline=None, max_examples=examples(6), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TENSORS = "tensors/step-000001-r00.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, steps=2, clip=0.5))
    return folder


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def told(folder: Path, *command: str) -> None:
    """A command is told or refused, by a status of its own, and prints nothing that is hidden."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.call([*command])
    said, refused = out.getvalue(), err.getvalue()
    assert status in (0, 1, 2, 3), (status, refused)
    assert "Traceback" not in refused
    assert "fault of Lockstep" not in refused
    assert refused.count("\n") <= 1, refused
    assert not hidden(said), said
    assert not hidden(refused), refused


def held(whole: Path, edit: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(whole, Path(place) / "copy"))
        edit(folder)
        making.seal(folder, 0)
        told(folder, "judge", str(folder))
        told(folder, "judge", "--json", str(folder))
        told(folder, "compare", str(folder), str(whole))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ["recording.json", "steps-r00.jsonl"])
@SLOW
@given(data=st.data())
def test_texts_that_are_half_right(whole: Path, name: str, data: st.DataObject) -> None:
    lines = [json.loads(line) for line in (whole / name).read_text().splitlines()] if "jsonl" in name else []
    parts = lines or [json.loads((whole / name).read_text())]
    drawn = [json.dumps(data.draw(changed(part))) for part in parts]
    held(whole, lambda folder: (folder / name).write_text("\n".join(drawn) + "\n"))


@pytest.mark.usefixtures("threads")
@SLOW
@given(data=st.data())
def test_bytes_that_are_changed(whole: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["recording.json", "steps-r00.jsonl", TENSORS]))
    content = bytearray((whole / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 4000) - 1))] = data.draw(st.integers(0, 255))
    held(whole, lambda folder: (folder / name).write_bytes(bytes(content)))


NUMBERS = (0.0, -1.0, 1e300, -1e30, 1e-300, 2.0**62, float("nan"), float("inf"))


@pytest.mark.usefixtures("threads")
@SLOW
@given(data=st.data())
def test_tensors_that_nobody_recorded(whole: Path, data: st.DataObject) -> None:
    tensors = load_file(whole / TENSORS)
    name = data.draw(st.sampled_from(sorted(tensors)))
    one, value = tensors[name].clone(), data.draw(st.sampled_from(NUMBERS))
    if not one.is_floating_point():
        value = int(min(max(value, -1e18), 1e18)) if value == value else 7
        value = max(0, min(255, value)) if one.dtype == torch.uint8 else value
    flat = one.reshape(-1)
    if one.dtype == torch.float32:
        value = max(min(value, 3e38), -3e38) if abs(value) < float("inf") else value
    flat[:: data.draw(st.integers(1, max(1, len(flat))))] = value
    tensors[name] = one
    if data.draw(st.booleans()):
        tensors[name] = one[: data.draw(st.integers(0, len(one)))].contiguous()

    def edit(folder: Path) -> None:
        save_file(tensors, folder / TENSORS)
        path = folder / "steps-r00.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[1]["shapes"] = {key: list(tensor.shape) for key, tensor in sorted(tensors.items())}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    held(whole, edit)

"""What is compiled once, is compiled once, and a killed build does not stop the next."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import adapters
from adapters.inside.prepare import stamp

SOURCE = """
import os, time
from pathlib import Path

def prepare():
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"]) / "op"
    folder.mkdir(exist_ok=True)
    assert not (folder / "lock").exists(), "torch would wait here without end"
    (folder / "lock").touch()
    time.sleep(0.3)
    with (folder / "builds").open("a") as out:
        out.write("built ")
    (folder / "lock").unlink()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "building_sft.py").write_text(SOURCE)
    repository = str(Path(adapters.__file__).parent.parent)
    return {"PYTHONPATH": f"{tmp_path}:{repository}", "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")}


def start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "adapters.inside.prepare", "building_sft"], env=environment)


def test_several_at_once_take_turns(environment: dict[str, str], tmp_path: Path) -> None:
    assert [p.wait(30) for p in [start(environment) for _ in range(3)]] == [0, 0, 0]
    assert (tmp_path / "extensions/op/builds").read_text() == "built built built "
    assert stamp(tmp_path / "extensions", "building_sft").exists()


def test_the_lock_of_a_killed_build_is_removed(environment: dict[str, str], tmp_path: Path) -> None:
    process = start(environment)
    lock = tmp_path / "extensions/op/lock"
    deadline = time.monotonic() + 20
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert lock.exists()
    assert not stamp(tmp_path / "extensions", "building_sft").exists()
    assert start(environment).wait(30) == 0

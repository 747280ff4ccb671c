"""Whatever Python `make gpu-check` is begun with: what it cannot run is one line, and nothing of it is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.gpucheck import start

START = Path(start.__file__)
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def begun(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), str(START), *arguments]
    return subprocess.run(
        command, env={**plain, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=120
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The one line."""
    (line,) = done.stderr.splitlines()
    assert done.returncode == start.NO_CARD
    assert not done.stdout
    return line.removeprefix("lockstep: ")


@pytest.mark.slow
def test_without_a_card_it_ends_in_one_line(tmp_path: Path) -> None:
    done = begun(Path(sys.executable), "--wheels", str(tmp_path / "none"))
    assert told(done) == "no CUDA device here; run make gpu-check where there is one"


def test_without_torch_it_asks_for_another_python(tmp_path: Path) -> None:
    start.venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    assert told(begun(python)) == f"{python} has no torch and no numpy; take a Python that has, with GPU_PYTHON=PATH"


def test_wheels_for_another_python_are_told(tmp_path: Path) -> None:
    (tmp_path / "newest-3.99.txt").touch()
    said = told(begun(Path(sys.executable), "--device", "cpu", "--wheels", str(tmp_path)))
    assert (
        said == f"{tmp_path} is for Python 3.99, and this is {HERE}; make it with `make gpu-wheels GPU_PYTHONS={HERE}`"
    )


def test_a_python_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(start, "OLDEST", (3, 99))
    why = start.unfit(tmp_path, carried=True, device="cpu")
    assert why == f"Lockstep needs Python 3.99, and this is {HERE}; take another with GPU_PYTHON=PATH"


def test_what_pip_could_not_find_is_told() -> None:
    output = "WARNING: one\nERROR: No matching distribution found for pydantic-core==2\nmore\n"
    assert start.last_line(output) == "ERROR: No matching distribution found for pydantic-core==2"
    assert start.last_line("a\nb\n") == "b"
    assert start.last_line("") == "pip says nothing"

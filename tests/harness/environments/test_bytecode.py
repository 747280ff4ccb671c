"""Compiled files go from one environment to another only where the source is one and the same file."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from harness.environments import bytecode
from harness.environments.environment import PYTHON, Record, write_record

SITE = "venv/lib/python3.11/site-packages"
LOCK = ("pkg==1", "torch==2")


def environment(folder: Path, lock: tuple[str, ...] = LOCK, platform: str = "here") -> Path:
    (folder / SITE / "pkg").mkdir(parents=True)
    (folder / PYTHON).parent.mkdir()
    (folder / PYTHON).symlink_to(sys.executable)
    record = Record(
        framework="trl", version="1", request="trl==1", python=str(PYTHON), platform=platform, built="now",
        lock=lock, lock_hash="0",
    )  # fmt: skip
    write_record(record, folder)
    return folder / SITE / "pkg"


@pytest.fixture
def donor(tmp_path: Path) -> Path:
    package = environment(tmp_path / "donor")
    for name in ("same", "other"):
        (package / f"{name}.py").write_text(f"NAME = {name!r}\n")
        py_compile.compile(str(package / f"{name}.py"))
    return package


def compiled(package: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in package.glob("__pycache__/*.pyc")}


def test_only_what_comes_from_the_same_file_is_shared(donor: Path, tmp_path: Path) -> None:
    package = environment(tmp_path / "new")
    os.link(donor / "same.py", package / "same.py")
    (package / "other.py").write_text((donor / "other.py").read_text())
    bytecode.share(tmp_path, tmp_path / "new", LOCK, "here")
    assert compiled(package) == {"same"}
    said = subprocess.run(
        [sys.executable, "-v", "-c", "import pkg.same; print(pkg.same.__file__)"],
        env={"PYTHONPATH": str(package.parent)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"matches {package / 'same.py'}" in said.stderr, "Python did not take the shared file"
    assert said.stdout.strip() == str(package / "same.py")


@pytest.mark.parametrize(("lock", "platform"), [(("numpy==1",), "here"), (LOCK, "elsewhere")])
def test_an_environment_that_is_not_alike_gives_nothing(
    donor: Path, tmp_path: Path, lock: tuple[str, ...], platform: str
) -> None:
    package = environment(tmp_path / "new", lock, platform)
    os.link(donor / "same.py", package / "same.py")
    bytecode.share(tmp_path, tmp_path / "new", lock, platform)
    assert not compiled(package)

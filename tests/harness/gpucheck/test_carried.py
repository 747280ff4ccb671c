"""`make gpu-check` on a CPU, really through: from a Python that has torch alone, with wheels that were carried."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.environments import installer
from harness.gpucheck import start, wheels
from harness.verdicts import verdict

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(3600)]

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "wheels"
    assert wheels.main(["--out", str(folder), "--python", THIS]) == 0
    assert sum(path.stat().st_size for path in folder.iterdir()) < wheels.MOST
    return folder


@pytest.fixture(scope="module")
def torch_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a machine with a card has, but for the card."""
    folder = tmp_path_factory.mktemp("python") / "venv"
    installer.run(["venv", "--quiet", "--python", sys.executable, str(folder)])
    python = folder / "bin" / "python"
    chosen = [*installer.backend_options(os.environ), "torch", *wheels.LARGE]
    installer.run(["pip", "install", "--quiet", "--python", str(python), *chosen])
    return python


def test_every_part_is_as_it_has_to_be(carried: Path, torch_alone: Path, tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "UV_"))}
    command = [str(torch_alone), start.__file__, "--device", "cpu", "--minutes", "40"]
    done = subprocess.run(
        [*command, "--wheels", str(carried), "--out", str(tmp_path / "out")],
        env=plain,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    out = tmp_path / "out"
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in out.iterdir()} == {
        *("gpu.md", "details.tar.gz", "doctor.txt", "floors.toml", "verdict.json")
    }
    page = (out / "gpu.md").read_text()
    outcomes = [line.split(" | ")[2] for line in page.splitlines() if line.startswith("| ") and " | " in line][1:9]
    assert outcomes == ["pass", "pass", "pass", "pass", "pass", "found", "pass", "unsupported"], page
    cells = verdict.read(out).cells
    assert {cell.verdict for cell in cells} == {"pass", "accepted", "fail", "unsupported"}
    floors = tomllib.loads((out / "floors.toml").read_text())
    assert set(floors["CPU"]) == {"fp32", "bf16"}
    assert max(floors["CPU"]["fp32"]["largest"].values()) < 5

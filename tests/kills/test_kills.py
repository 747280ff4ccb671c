"""A handful of random kills; `make kills` is the whole of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    "only", ["run", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("bisect", "nightly", "fuzz"))]
)
def test_nothing_is_left_and_nothing_lost(environments: Path, only: str) -> None:
    """In a process of its own, which adopts whatever is left."""
    command = [sys.executable, "-m", "tests.kills", "--kills", "4", "--only", only, "--envs", str(environments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 kills" in ran.stdout

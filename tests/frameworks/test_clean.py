"""Right releases stay clean on another seed than 0 too; `make clean-cells` has the same over 20 of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scenarios
from adapters.contract import END
from harness.verdicts import verdict
from tests.frameworks import command, proofs

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]

SEED = 19


@pytest.mark.exhaustive
def test_another_seed_is_as_clean(tmp_path: Path, environments: Path) -> None:
    chosen = ["--framework", "torch", "--framework", "deepspeed==0.19.8", "--scenario", f"*@{SEED}"]
    run = command.run(tmp_path, environments, *chosen, timeout=1800.0)
    for framework in ("torch", "deepspeed"):
        found = {c.scenario: c.verdict for c in run.verdict.cells if c.framework == framework}
        assert found == dict.fromkeys(scenarios.CATALOGUE, "pass") | proofs.OTHERWISE[framework]


@pytest.mark.exhaustive
def test_tied_embeddings_in_bf16_raise_no_false_alarm(tmp_path: Path, environments: Path) -> None:
    """Seeds 0 (loss) and 4 (norm) had one each when a floor in bf16 was three times the same draw."""
    chosen = ["--framework", "llamafactory==0.9.5", "--scenario", "sft-ragged-tied-zero1-bf16", "--seeds", "5"]
    run = clean_cells(tmp_path, environments, *chosen)
    assert run.returncode == 0, run.stdout + run.stderr
    assert [(c.seed, c.verdict) for c in verdict.read(tmp_path / "out").cells] == [(n, "pass") for n in range(5)]
    assert "loss, relative" in run.stdout
    ends = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"out/cells/*/*/{END}")}
    assert len(ends) == 5
    again = clean_cells(tmp_path, environments, *chosen)
    assert (again.returncode, again.stdout) == (0, run.stdout)
    assert {path: path.stat().st_mtime_ns for path in ends} == ends  # no cell was run again


def clean_cells(folder: Path, environments: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.clean` with these arguments, into `folder`/out."""
    command = [
        sys.executable,
        "-m",
        "tests.clean",
        *arguments,
        "--out",
        str(folder / "out"),
        "--envs",
        str(environments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)

"""`make bench` measures what it says, and writes it as it should; how fast this machine is, no test says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.bench import __main__ as bench

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]

GROWN = ("197,54000", "394,54000", "591,54000", "197,190944", "197,713664", "197,2754432")
"""Tokens of a step and parameters of the model, one of which grows at a time."""

UNITS = {
    "deepspeed_warm_cell_speedup": "ratio",
    "recording_overhead": "ratio",
    "oracle_seconds": "s",
    "judge_seconds": "s",
    **dict.fromkeys((f"judge_seconds.{size}" for size in GROWN), "s"),
    "local_basis_seconds.64,100,16": "s",
    "local_basis_error.64,100,16": "largest error",
    "record_overhead_watched.40,300": "ratio",
    "record_overhead_unwatched.40,300": "ratio",
    "warm_cell_seconds.torch": "s",
    "cells_per_minute_torch": "cells/min",
    "smoke_matrix_seconds": "s",
}


@pytest.mark.exhaustive  # `make bench` judges nothing
def test_what_is_written(tmp_path: Path, environments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "bench.json"
    options = ["--runs", "2", "--framework", "torch", "--size", "64,100,16", "--envs", str(environments)]
    options += ["--trained", "40,300,64,1"]
    assert bench.main([*options, "--out", str(out)]) == 0
    metrics = json.loads(out.read_text())["metrics"]
    assert {name: metric["unit"] for name, metric in metrics.items()} == UNITS
    for name, metric in metrics.items():
        assert metric["runs"] == (1 if name == "smoke_matrix_seconds" else 2), name
        assert all(len(samples) == metric["runs"] for samples in metric["samples"].values()), name
        assert metric["value"] > 0, name
    assert metrics["local_basis_error.64,100,16"]["value"] < 1e-5
    assert metrics["deepspeed_warm_cell_speedup"]["value"] > 2  # 20 on a calm machine
    assert list(out.parent.iterdir()) == [out]
    printed = capsys.readouterr().out
    assert all(name in printed for name in UNITS)

"""A run's folder with a trace that was recorded and recovered from, as `lockstep run` leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.judging import judge, summary
from harness.traces import recovered_numbers
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict

NAME = "torch==simulated/small"


def run(good: Path, folder: Path) -> Path:
    """One cell with a trace, one whose trace nothing was recovered from, and one without."""
    steps = [summary.summarize(step) for step in judge.judge(good).steps]
    for name in ("whole", "reported"):
        shutil.copytree(good, folder / name)
    recovered_numbers.write(steps, folder / "whole")
    fields = {"framework": "torch", "scenario": "small"}
    cells = [
        CellRecord(version="simulated", verdict="pass", trace="whole", **fields),
        CellRecord(version="older", verdict="pass", trace="reported", **fields),
        CellRecord(version="../lost", verdict="unknown", reason="it died", **fields),
    ]
    verdict.write(Verdict(cells=cells, complete=True), folder)
    return folder

"""Trainings on real releases: every arm is what its label says; a run that is killed goes on and repeats nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.staircase.record import FILE
from tests.frameworks import command

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

PLANTED = ("--framework", "torch", "--fault", "drop-intermediate", "--fault", "mean-of-micro-batches")
SHORT = ("--quick", "--steps", "9", "--jobs", "2")
DROPPED, MEANS = "dropped-micro-batches", "mean-of-means"


def _line(out: Path, environments: Path, *options: str) -> list[str]:
    return [str(command.COMMAND), "staircase", *options, *SHORT, "--out", str(out), "--envs", str(environments)]


def _staircase(out: Path, environments: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit status, staircase.json, and what was said on stderr."""
    done = subprocess.run(_line(out, environments, *options), capture_output=True, text=True, check=False)
    assert (out / FILE).exists(), done.stderr
    return done.returncode, json.loads((out / FILE).read_text()), done.stderr


def _causes(told: dict[str, Any]) -> dict[str, set[str]]:
    """What the oracle found in the first steps of each arm, but for what is only logged wrongly."""
    return {arm["label"]: {*arm["trainings"][0]["causes"]} - {"misreported"} for arm in told["arms"]}


def test_a_killed_run_goes_on_and_tells_planted_faults_apart(tmp_path: Path, environments: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(_line(out, environments, *PLANTED), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (ended := _ended(out)):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ended = _ended(out)
    assert ended
    before = {path: path.stat().st_mtime_ns for path in ended}
    status, told, _ = _staircase(out, environments, *PLANTED)
    assert {path: path.stat().st_mtime_ns for path in ended} == before
    assert status == 0
    assert _causes(told) == {
        "torch==2.13.0": {DROPPED, MEANS},
        "torch==2.13.0 + no drop-intermediate": {MEANS},
        "torch==2.13.0 + no mean-of-micro-batches": {DROPPED},
        "torch==2.13.0 + no drop-intermediate + no mean-of-micro-batches": set(),
    }
    assert all(arm["as_labelled"] for arm in told["arms"])
    assert len(told["attributions"]) == 2
    assert len(told["claims"]) == 4
    assert told.get("differences", []) == []
    assert "<svg" in (out / "staircase.html").read_text()
    status, again, said = _staircase(out, environments, *PLANTED)
    assert (status, again["arms"]) == (0, told["arms"])
    assert "starting" not in said


def _ended(out: Path) -> list[Path]:
    """What trainings have left that have come to a verdict."""
    try:
        cells = json.loads((out / "trained" / "verdict.json").read_text())["cells"]
    except FileNotFoundError:
        return []
    return [out / "trained" / cell["trace"] / "trained" / "steps.jsonl" for cell in cells if cell.get("trace")]


@pytest.mark.exhaustive
def test_openrlhf_on_deepspeed_with_each_fix_and_verl(tmp_path: Path, environments: Path) -> None:
    fixes = ("--fix", "deepspeed-offload", "--fix", "openrlhf-loss", "--against", "verl==0.9.1", "--against", "ddp")
    hyper = ("--hyper", "lr=0.0003,batch=32,schedule=linear")
    status, told, _ = _staircase(tmp_path, environments, "--framework", "openrlhf==0.9.10", *fixes, *hyper)
    base = "openrlhf==0.9.10"
    assert _causes(told) == {
        base: {DROPPED, MEANS},
        f"{base} + deepspeed-offload": {MEANS},
        f"{base} + openrlhf-loss": {DROPPED},
        f"{base} + deepspeed-offload + openrlhf-loss": set(),
        f"{base}, not offloaded": {MEANS},
        "verl==0.9.1": set(),
        "ddp==2.13.0": set(),
        "ddp==2.13.0, lr=0.0003,batch=32,schedule=linear": set(),
    }
    assert status == 0
    assert {arm["trainings"][0]["state"] for arm in told["arms"]} == {"trained"}
    assert all(arm["as_labelled"] for arm in told["arms"])
    assert told.get("differences", []) == []
    first = [arm["trainings"][0]["grad_norm"][0] for arm in told["arms"] if arm["role"] == "independent"]
    assert first[0] == pytest.approx(first[1], rel=1e-5)

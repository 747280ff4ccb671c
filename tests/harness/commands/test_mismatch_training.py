"""`lockstep mismatch-training`: a run that is killed leaves nothing behind, goes on and repeats nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.policy import runs
from harness.policy.record import FILE

SMALL = "steps=4, prompts=2, judged=16"
LINE = "mismatch-training --quick --seeds 2 --jobs 2 --out"
SCRIPT = f"""import dataclasses, sys
from harness import cli
from harness.policy import runs
runs.QUICK = dataclasses.replace(runs.QUICK, {SMALL})
sys.exit(cli.call(sys.argv[1:]))"""


def command(out: Path) -> Sequence[str]:
    return [sys.executable, "-c", SCRIPT, *LINE.split(), str(out)]


def ended(out: Path) -> dict[Path, int]:
    """Trainings that are done, and when."""
    return {path: path.stat().st_mtime_ns for path in (out / runs.FOLDER).glob("*.json")}


def working(out: Path) -> list[str]:
    """Processes that train into it."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if str(out).encode() in words:
            found.append(place.parent.name)
    return found


@pytest.mark.slow
def test_a_killed_run_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(ended(out)) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while working(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not working(out)
    before = ended(out)
    assert before
    done = subprocess.run([*command(out), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = ended(out)
    assert {path: after[path] for path in before} == before
    told = json.loads(done.stdout)
    assert told == json.loads((out / FILE).read_text())
    assert len(after) == 2 * len(told["arms"])
    assert told["missing"] == []
    assert {path.name for path in out.iterdir()} >= {"mismatch-training.md", "mismatch-training.html", FILE}


@pytest.mark.slow
def test_a_process_that_breaks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its trainings are missing, nothing is concluded, and the status is 3."""
    monkeypatch.setattr(runs, "QUICK", replace(runs.QUICK, steps=1, prompts=-1))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    out = tmp_path / "out"
    assert cli.call(["mismatch-training", "--quick", "--seeds", "1", "--out", str(out)]) == 3
    said = capsys.readouterr()
    assert "BROKE: RuntimeError" in said.out
    assert "trainings are missing, so that nothing is concluded; the first: exact, none, seed 0" in said.out
    assert json.loads((out / FILE).read_text())["claims"] == []

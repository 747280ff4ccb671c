"""What is wrong in real releases is found without a hint, made small, and shown again by its file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks import command

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]


def _fuzz(out: Path, environments: Path, *options: str) -> tuple[int, dict[str, Any]]:
    words = ["fuzz", "--out", str(out), "--envs", str(environments), "--jobs", "1", *options]
    done = subprocess.run([command.COMMAND, *words], capture_output=True, text=True, check=False)
    assert (out / "fuzz.json").exists(), done.stderr
    return done.returncode, json.loads((out / "fuzz.json").read_text())


def _corpus(folder: Path, content: str) -> Path:
    """Whatever the machine's speed, this one is run."""
    folder.mkdir()
    (folder / "one.toml").write_text(f"responses = [5, 2, 9, 3, 7, 4]\n{content}")
    return folder


OFFLOAD = """
[window]
ranks = 2
micro_batch_size = 2
accumulation = 4
steps = 2
[optimizer]
weight_decay = 0.1
[sharding]
strategy = "zero2"
offload_optimizer = true
"""


def test_deepspeeds_offload_bug_is_one_rank_three_micro_batches_and_one_step(
    tmp_path: Path, environments: Path
) -> None:
    corpus = _corpus(tmp_path / "corpus", OFFLOAD)
    status, found = _fuzz(
        tmp_path / "out", environments, "--framework", "deepspeed==0.18.9", "--corpus", str(corpus), "--minutes", "1"
    )
    assert status == 1
    (cause,) = (one for one in found["causes"] if one["cause"] == "dropped-micro-batches")
    assert cause["settings"] == {
        "window.accumulation": 3,
        "sharding.strategy": "zero2",
        "sharding.offload_optimizer": True,
    }
    assert cause["steady"]
    again = tmp_path / "again"
    again.mkdir()
    run = command.run(
        again, environments, "--framework", "deepspeed==0.18.9", "--scenario",
        str(tmp_path / "out" / cause["file"]),
    )  # fmt: skip
    assert run.status == 1
    assert "dropped-micro-batches: 1 of 3" in {d.kind for d in run.verdict.cells[0].diagnoses}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", ["mean-of-micro-batches", "keep-first"])
def test_a_planted_fault_is_found_and_the_same_command_goes_on(fault: str, tmp_path: Path, environments: Path) -> None:
    options = ("--framework", "torch==2.13.0", "--fault", fault)
    status, found = _fuzz(tmp_path / "out", environments, *options, "--minutes", "1")
    assert status == 1
    assert found["causes"][0]["settings"].keys() <= {"window.accumulation", "window.micro_batch_size"}
    again, more = _fuzz(tmp_path / "out", environments, *options, "--minutes", "1.2")
    assert again == 1
    assert more["cells"] > found["cells"]
    assert [one["settings"] for one in more["causes"]][: len(found["causes"])] == [
        one["settings"] for one in found["causes"]
    ]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("release", "cause"),
    [
        ("deepspeed==0.18.2", "dropped-micro-batches"),
        ("deepspeed==0.18.9", "gradient-scale"),
        ("openrlhf==0.10.2", "mean-of-means"),
        ("verl==0.6.1", "mean-of-means"),
        ("trl==1.0.0", "gradient-scale"),
    ],
)
def test_an_old_release_is_found_wrong_and_the_scenario_made_small(
    release: str, cause: str, tmp_path: Path, environments: Path
) -> None:
    """Without a hint. A cause of few values is small when it has as few."""
    status, found = _fuzz(tmp_path / "out", environments, "--framework", release, "--minutes", "3")
    assert status == 1
    (first, *_) = (one for one in found["causes"] if one["cause"] == cause)
    assert first["seconds"] < 180
    assert first["steady"]
    # Two ranks, or two micro-batches of one: which of them is left depends on where it began.
    (alone,) = (value for path, value in first["settings"].items() if path.startswith("window."))
    assert alone == 2
    assert first["settings"].keys() <= {"window.ranks", "window.accumulation", "sharding.strategy"}

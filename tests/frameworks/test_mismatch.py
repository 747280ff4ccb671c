"""Real trainers and engines on given tokens; verl's own metrics; what is measured is not measured again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.environments import build
from harness.environments.request import Request
from harness.mismatch import metrics
from harness.mismatch.asked import ANSWERS
from harness.mismatch.record import FILE
from harness.mismatch.sources import WAYS
from tests.frameworks import command

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

SMALL = ("--rows", "2", "--length", "24", "--jobs", "2")
EXACT = 1e-4
"""Nats that a pass in float32 is off at most; bfloat16 is off by a hundredth and more in the mean."""
OF_VERL = """
import json, sys, torch
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_corr_metrics_from_logprobs
old, rollout = (torch.tensor(rows, dtype=torch.float64) for rows in json.load(sys.stdin))
print(json.dumps(compute_rollout_corr_metrics_from_logprobs(old, rollout, torch.ones_like(old))))
"""


def _mismatch(out: Path, environments: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit status, mismatch.json, and what was said on stderr."""
    line = [str(command.COMMAND), "mismatch", *options, *SMALL, "--out", str(out), "--envs", str(environments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (out / FILE).exists(), done.stderr
    return done.returncode, json.loads((out / FILE).read_text()), done.stderr


def _off(told: dict[str, Any], dtype: str) -> dict[str, float]:
    """The mean difference of each way from the exact values."""
    return {run["way"]: run["arithmetic"]["mean_abs"] for run in told["runs"] if run["dtype"] == dtype}


def test_what_is_measured_is_not_measured_again(tmp_path: Path, environments: Path) -> None:
    named = ("--engine", "transformers", "--engine", "transformers-decode", "--dtype", "float32", "--dtype", "bfloat16")
    status, told, _ = _mismatch(tmp_path, environments, *named)
    assert status == 0
    assert max(_off(told, "float32").values()) < EXACT < min(_off(told, "bfloat16").values())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ANSWERS).iterdir()}
    assert len(before) == 2
    status, again, said = _mismatch(tmp_path, environments, *named)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / ANSWERS).iterdir()} == before
    assert said.count("was there") == 2
    assert again["pairs"] == told["pairs"]


def test_the_formulas_are_verls_own(environments: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    old = -torch.rand(4, 9, generator=draws, dtype=torch.float64) * 5
    rollout = old + torch.randn(4, 9, generator=draws, dtype=torch.float64) * torch.tensor(
        [[1e-6], [1e-2], [1.0], [8.0]]
    )
    python = build.ensure(Request("verl"), environments, lambda _: None).python
    numbers = json.dumps([old.tolist(), rollout.tolist()])
    done = subprocess.run([python, "-c", OF_VERL], input=numbers, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    # masked_mean of verl/utils/torch_functional.py adds 1e-8 to the number of tokens
    assert theirs == pytest.approx(metrics.verl(old, rollout), rel=1e-8, abs=1e-8)


@pytest.mark.exhaustive
def test_every_trainer_and_engine_answers(tmp_path: Path, environments: Path) -> None:
    status, told, said = _mismatch(tmp_path, environments)
    assert status == 0, said
    assert {run["way"] for run in told["runs"]} == {way.name for way in WAYS}
    assert max(_off(told, "float32").values()) < EXACT
    for dtype in ("bfloat16", "float16"):
        assert min(_off(told, dtype).values()) > EXACT
    assert all(claim["supported"] is not None for claim in told["claims"])


@pytest.mark.exhaustive
def test_a_model_that_vllm_cannot_run_is_unknown_with_its_reason(tmp_path: Path, environments: Path) -> None:
    named = ("--engine", "vllm-decode", "--scenario", "sft-ragged", "--dtype", "float32")
    status, told, _ = _mismatch(tmp_path, environments, *named)
    assert status == 3
    (run,) = told["runs"]
    assert "head_dim=12" in run["reason"]

"""Corrections and measures of `lockstep mismatch-training` are those that verl itself reckons, on the same numbers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.environments import build
from harness.environments.request import parse
from harness.policy import corrections, measures
from harness.policy.corrections import CORRECTIONS

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

ASKED = """
import json, sys, torch
from verl.trainer.ppo import rollout_corr_helper as verl
p, q = (torch.tensor(each, dtype=torch.float64) for each in json.load(sys.stdin))
mask = torch.ones_like(p)
weights = {
    name: verl.compute_rollout_correction_weights(p - q, mask, level, bound)[0].tolist()
    for name, (level, bound) in json.loads(sys.argv[1]).items()
}
print(json.dumps([weights, verl.compute_offpolicy_metrics(p, q, mask)]))
"""
BOUNDS = {
    "token TIS": ("token", corrections.UPPER),
    "sequence TIS": ("sequence", corrections.UPPER),
    "token mask": ("token", "{}_{}".format(*corrections.BAND)),
}


@pytest.fixture(scope="module")
def numbers() -> torch.Tensor:
    """Log-probabilities of trainer and sampler, [2, rows, tokens], that are far from each other."""
    return -torch.rand((2, 40, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4


@pytest.fixture(scope="module")
def verls(numbers: torch.Tensor, environments: Path) -> tuple[dict[str, Any], dict[str, float]]:
    python = build.ensure(parse("verl==0.9.1"), environments, print).python
    command = [str(python), "-c", ASKED, json.dumps(BOUNDS)]
    done = subprocess.run(command, input=json.dumps(numbers.tolist()), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights, told = json.loads(done.stdout.splitlines()[-1])
    return weights, told


@pytest.mark.parametrize("name", BOUNDS)
def test_weights(name: str, numbers: torch.Tensor, verls: tuple[dict[str, Any], dict[str, float]]) -> None:
    own = CORRECTIONS[name].weights(numbers[0] - numbers[1])
    torch.testing.assert_close(own, torch.tensor(verls[0][name], dtype=torch.float64), rtol=1e-12, atol=0)
    assert len(own.unique()) > 10


def test_measures(numbers: torch.Tensor, verls: tuple[dict[str, Any], dict[str, float]]) -> None:
    own = measures.measured(numbers[0] - numbers[1])
    assert own == pytest.approx({name: verls[1][name] for name in measures.NAMES}, rel=1e-9)

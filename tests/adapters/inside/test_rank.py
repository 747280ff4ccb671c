"""Ranks meet where their launcher means them to, whoever calls for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scenarios
from adapters.contract import Job

CALL = """
import os, sys, torch
from adapters.inside import rank
from adapters.contract import Job
rank.answer_init_process_group(Job.loads(open(sys.argv[1]).read()))
torch.distributed.init_process_group("cpu:gloo,cpu:gloo", init_method=None)
print(torch.distributed.get_backend(), torch.distributed.get_world_size(), os.environ["MASTER_PORT"])
"""


@pytest.mark.slow
def test_a_call_of_the_framework_meets_without_an_address(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(Job("adapters.none", "none", "1.0", scenarios.get("sft-ragged"), "ck", str(tmp_path)).dumps())
    variables = {k: v for k, v in os.environ.items() if k not in ("MASTER_ADDR", "MASTER_PORT")}
    variables |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "LOCKSTEP_RENDEZVOUS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(job)],
        cwd=Path(__file__).parents[3],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["gloo", "1", "0"], done.stderr

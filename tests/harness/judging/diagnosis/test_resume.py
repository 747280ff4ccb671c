"""What a run that goes on from a checkpoint is said to have lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import scenarios
from adapters.contract import vary
from adapters.faults import RIGHT
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from tests.faults import simulate


@pytest.mark.slow
def test_a_constant_schedule_cannot_have_begun_anew(tmp_path: Path) -> None:
    """A matrix that goes on from where the training began seems to move by another rate; it alone is named."""
    scenario = vary(scenarios.get("sft-ragged-moe"), ranks=1, resume_after=1, steps=2)
    start: list[torch.Tensor] = []

    def loses(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        p = next(p for group in optimizer.param_groups for p in group["params"] if min(p.shape) > 1 < p.ndim)
        start.append(p.detach().clone())
        p.data.copy_(start[0])

    hook = register_optimizer_step_pre_hook(loses)
    try:
        trace = simulate.run(scenario, RIGHT, tmp_path)
    finally:
        hook.remove()
    found = judge(trace, BasisCache())
    assert {f.step for f in found.findings if f.code == "update.learning-rate"} == {1}
    assert [d.kind for d in found.diagnoses] == ["resume: parameters"]
    assert "1 of 41 tensors" in found.diagnoses[0].evidence

"""The rule of tensors that no token of a step touches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import RIGHT
from harness.judging.judge import judge
from harness.oracle import whole
from harness.oracle.basis_cache import BasisCache
from harness.verdicts import verdict
from tests.faults import simulate
from tests.harness import breaking

FEW = vary(scenarios.get("sft-ragged-moe"), ranks=1, accumulation=1, steps=1, experts=16)
"""A row, whose tokens are not routed to every expert."""


@pytest.mark.parametrize("scenario", [FEW, vary(FEW, weight_decay=0.1)], ids=["plain", "decayed"])
def test_experts_without_a_token_tell_no_rate_and_nothing_is_unknown(scenario: Scenario, tmp_path: Path) -> None:
    judged = judge(simulate.run(scenario, RIGHT, tmp_path), BasisCache())
    assert verdict.outcome(judged.findings) == "pass", judged.findings
    (step,) = judged.steps
    untold = {u.tensor for u in step.update.explained if math.isinf(u.rate_error)}
    assert untold
    assert untold == whole.idle(step.right, step.recorded.before.parameters)
    assert all(".experts." in name for name in untold)


def test_an_expert_that_should_move_and_does_not_is_found(tmp_path: Path) -> None:
    trace = simulate.run(FEW, RIGHT, tmp_path)
    (step,) = judge(trace, BasisCache()).steps
    still = {n for n, s in step.recorded.states.items() if not bool(s.first.any())}
    name = next(n for n in sorted(step.recorded.states) if ".experts." in n and n not in still)
    before = step.recorded.states[name].before.float()

    def stay(tensors: dict[str, torch.Tensor]) -> None:
        for kind in ("exp_avg", "exp_avg_sq"):
            tensors[f"{kind}/{name}"].zero_()
        tensors[f"param/{name}"] = before

    breaking.tensors(trace, stay, 1, 0)
    assert verdict.outcome(judge(trace, BasisCache()).findings) == "fail"

"""Every fault of the catalogue on every scenario of the catalogue that plain PyTorch can run."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from adapters import torch_sft
from adapters.contract import Scenario
from adapters.faults import CATALOGUE, RIGHT
from tests.faults import proof

RUNNABLE = [name for name in scenarios.CATALOGUE if torch_sft.unsupported(scenarios.get(name), "") is None]

QUICK = {"sft-ragged"}
"""What `make test-fast` runs too, with all of its steps; the others make two, since the third is like the second."""


def _scenario(name: str) -> Scenario:
    scenario = scenarios.get(name)
    return scenario if name in QUICK else replace(scenario, steps=2)


def _case(scenario: str, *fault: str):
    marks = () if scenario in QUICK else (pytest.mark.slow,)
    return pytest.param(scenario, *fault, marks=marks, id="-on-".join((*fault, scenario)))


@pytest.mark.parametrize("scenario", [_case(s) for s in RUNNABLE])
def test_a_clean_run_is_clean(scenario, cache):
    proof.assert_clean(proof.judged(_scenario(scenario), RIGHT, cache))


@pytest.mark.parametrize(("scenario", "fault"), [_case(s, f) for s in RUNNABLE for f in CATALOGUE])
def test_a_planted_fault_is_named_or_cannot_be_seen(scenario, fault, cache):
    planted = CATALOGUE[fault]
    judgement = proof.judged(_scenario(scenario), planted.plan, cache)
    if planted.hidden(_scenario(scenario)) is None:
        proof.assert_named(judgement, planted)
    else:
        proof.assert_hidden(judgement, planted)

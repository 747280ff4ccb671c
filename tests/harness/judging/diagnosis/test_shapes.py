"""What is lost behind the first micro-batch's length is named, whether anything is compiled or not."""

from __future__ import annotations

import scenarios
from adapters.contract import vary
from adapters.faults import Plan
from harness.oracle.basis_cache import BasisCache
from tests.faults import proof

SCENARIO = vary(scenarios.get("sft-ragged"), steps=1)


def _kinds(plan: Plan) -> list[str]:
    return [d.kind for d in proof.judged(SCENARIO, plan, BasisCache()).diagnoses]


def test_what_lies_behind_the_first_length_is_named() -> None:
    assert _kinds(Plan(graph="first-shape")) == ["first-shape"]


def test_a_micro_batch_is_lost_at_no_recompile_where_nothing_is_compiled() -> None:
    assert _kinds(Plan(graph="lost-at-recompile")) == ["dropped-micro-batches: 1 of 4"]

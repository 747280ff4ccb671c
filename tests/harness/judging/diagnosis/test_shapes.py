"""What a compiled graph loses is named. Nothing is compiled here, which takes a minute (`faults/test_unnamed.py`)."""

from __future__ import annotations

import pytest
import torch

import scenarios
from adapters.contract import vary
from adapters.faults import Plan
from harness.oracle.basis_cache import BasisCache
from tests.faults import proof

SCENARIO = vary(scenarios.get("sft-ragged"), steps=1, compiled="aot_eager")


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (Plan(graph="first-shape"), "first-shape"),
        (Plan(graph="lost-at-recompile"), "dropped-micro-batches: at a recompile"),
    ],
)
def test_what_a_graph_for_another_length_loses_is_named(plan: Plan, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _, **__: None)
    assert [d.kind for d in proof.judged(SCENARIO, plan, BasisCache()).diagnoses] == [kind]

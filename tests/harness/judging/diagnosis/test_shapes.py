"""What a compiled graph loses is named. Nothing is compiled here, which takes a minute: `tests/faults/test_unnamed.py`."""

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
    ("graph", "kind"), [("first-shape", "first-shape"), ("lost-at-recompile", "dropped-micro-batches: 1 of 4")]
)
def test_what_lies_behind_the_first_length_is_named(graph: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _, **__: None)
    judgement = proof.judged(SCENARIO, Plan(graph=graph), BasisCache())
    assert [d.kind for d in judgement.diagnoses] == [kind]

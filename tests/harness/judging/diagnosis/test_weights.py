"""What is said of several steps together."""

from __future__ import annotations

import pytest

import scenarios
from adapters.faults import CATALOGUE
from harness.oracle.basis_cache import BasisCache
from tests.faults import proof


@pytest.mark.slow
def test_what_one_step_cannot_tell_of_dropped_micro_batches_another_does() -> None:
    """The third has no advantage in the first step, the second has none in the second."""
    judged = proof.judged(scenarios.get("grpo-token"), CATALOGUE["drop-intermediate"].plan, BasisCache())
    found = [f.detail["dropped"] for f in judged.findings if f.code == "weights.dropped-micro-batches"]
    assert found == [[1], [2]]
    assert [(d.kind, d.measured) for d in judged.diagnoses] == [
        ("dropped-micro-batches: 1, 2 of 4", ("first and last",))
    ]

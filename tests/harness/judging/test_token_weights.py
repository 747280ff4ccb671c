"""Weights of columns dealt out to the tokens that share them: those of a pair with a common beginning, too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import vary
from adapters.faults import RIGHT
from harness.judging.token_weights import token_weights
from harness.oracle.basis_cache import BasisCache
from harness.oracle.step import RightStep
from tests.faults import proof

pytestmark = pytest.mark.slow


PAIRS = scenarios.get("dpo-ragged")
ANSWERS = [row[1].content for row in PAIRS.data.rows]
LONGER = [a if i % 2 == 0 else f"{ANSWERS[i - 1]} {a}" for i, a in enumerate(ANSWERS)]
ROWS = ((row[0], replace(row[1], content=answer)) for row, answer in zip(PAIRS.data.rows, LONGER, strict=True))
BEGUN_ALIKE = vary(PAIRS, rows=tuple(ROWS))
"""Rejected answers that begin as the chosen ones: those tokens' weights cancel."""


@pytest.fixture(scope="module", params=[BEGUN_ALIKE, *map(scenarios.get, ("grpo-token", "sft-ragged"))])
def right(request: pytest.FixtureRequest) -> RightStep:
    return proof.judged(vary(request.param, steps=1), RIGHT, BasisCache()).steps[0].right


def test_right_weights_are_those_that_each_token_should_have(right: RightStep) -> None:
    columns = right.weights * right.clip
    found = token_weights(right, columns, torch.ones_like(columns).bool())
    torch.testing.assert_close(found.slots, right.slot_weights * right.clip * right.targets)
    for row in found.rows:
        assert row.weight == pytest.approx(row.expected)
        assert row.spread < 1e-9


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_tokens_of_a_column_weigh_what_it_does(right: RightStep, seed: int) -> None:
    noise = torch.randn(len(right.weights), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    columns = right.weights + noise * float(right.weights.abs().max())
    found = token_weights(right, columns, torch.ones_like(columns).bool())
    torch.testing.assert_close(right.by_column(found.slots), columns * right.targets)

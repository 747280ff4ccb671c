"""Which row is named where several are off alike: the first, whatever rounding adds to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE
from harness.judging.checks import weights
from harness.judging.evidence import StepEvidence
from harness.judging.token_weights import token_weights
from harness.oracle.basis_cache import BasisCache
from harness.oracle.hypotheses import Hypothesis
from tests.faults import proof

pytestmark = pytest.mark.slow
ROUNDING = 1e-9
FAULTS = [
    ("sft-ragged-batch2", "mean-of-micro-batches"),
    ("sft-ragged-batch2", "chunks-averaged"),
    ("grpo-token", "raw-rewards"),
]


def judged(name: str, fault: str) -> StepEvidence:
    """With the weights that the fault really makes, without what float32 adds to them."""
    found = proof.judged(vary(scenarios.get(name), steps=1), CATALOGUE[fault].plan, BasisCache()).steps[0]
    tokens = token_weights(found.right, found.fit.predicted, torch.ones_like(found.fit.predicted).bool())
    return replace(found, tokens=tokens, observed=replace(found.observed, weights=found.fit.predicted))


@pytest.fixture(scope="module", params=FAULTS, ids=lambda told: told[1])
def planted(request: pytest.FixtureRequest) -> StepEvidence:
    return judged(*request.param)


@pytest.fixture(scope="module")
def unexplained() -> StepEvidence:
    """A whole group of rows is off by the mean of its rewards."""
    found = judged("grpo-token", "raw-rewards")
    fit = replace(found.fit, hypothesis=Hypothesis(), predicted=found.right.weights * found.right.clip, excess=2.0)
    return replace(found, fit=fit)


def rounding(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.0 + ROUNDING * (torch.rand(count, generator=generator, dtype=torch.float64) - 0.5)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_rounding_does_not_choose_the_row_of_a_known_cause(planted: StepEvidence, seed: int) -> None:
    rows = planted.tokens.rows
    factors = rounding(len(rows), seed).tolist()
    rounded = tuple(replace(r, weight=r.weight * f) for r, f in zip(rows, factors, strict=True))
    other = replace(planted, tokens=replace(planted.tokens, rows=rounded))
    assert [f.message for f in weights.token_weights(other)] == [f.message for f in weights.token_weights(planted)]


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_rounding_does_not_choose_the_row_that_fits_no_cause(unexplained: StepEvidence, seed: int) -> None:
    (wanted,) = weights.token_weights(unexplained)
    observed = unexplained.observed
    noisy = replace(observed, weights=observed.weights * rounding(len(observed.weights), seed))
    (found,) = weights.token_weights(replace(unexplained, observed=noisy))
    assert (found.code, found.detail) == ("weights.uneven", wanted.detail)

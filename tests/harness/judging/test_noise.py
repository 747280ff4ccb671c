"""Noise of the embedding: read from the trace, followed by the oracle, held against what was asked for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.judging.checks import noise as check
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces.added import Noise
from tests.faults import simulate
from tests.harness import breaking
from tests.harness.refused import unreadable


def asked(name: str = "sft-ragged-batch2", **other: object) -> Scenario:
    return vary(scenarios.get(name), steps=1, **{"neftune_alpha": 5.0, **other})


OTHERS = {
    "bf16": asked("sft-ragged-bf16"),
    "packed": asked("sft-ragged-packed"),
    "padded on the left": asked(padding_side="left"),
    "GPT-2": asked("sft-ragged-gpt2"),
    "Gemma": asked("sft-ragged-gemma"),
    "routed": asked("sft-ragged-moe-aux"),
    "low-rank": asked("sft-ragged-lora"),
    "checkpointed": asked("sft-ragged-checkpointed"),
    "without a forward pass of the oracle's own": asked("sft-ragged-stablelm"),
    "much": asked(neftune_alpha=30.0),
    "little": asked(neftune_alpha=0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n == "bf16" else pytest.param(n, marks=pytest.mark.exhaustive) for n in OTHERS])
def test_a_clean_run_with_noise_is_clean(name: str, tmp_path: Path) -> None:
    assert judge(simulate.run(OTHERS[name], RIGHT, tmp_path), BasisCache()).findings == ()


@pytest.mark.slow
def test_noise_that_was_not_recorded_is_unknown_by_name(tmp_path: Path) -> None:
    trace = simulate.run(asked(), RIGHT, tmp_path)
    for path in (trace / "tensors").glob("embedded-*-r01*"):
        path.unlink()
    breaking.reseal(trace)
    (finding,) = judge(trace, BasisCache()).findings
    assert finding.code == "run.incomplete"
    assert "rank 1 did not record what the first layer was given" in finding.message
    assert "model.neftune_alpha" in finding.message


@pytest.mark.slow
def test_noise_of_another_shape_is_refused(tmp_path: Path) -> None:
    trace, cache = simulate.run(asked(), RIGHT, tmp_path), BasisCache()
    breaking.embedded(trace, lambda t: t.pop("embedded/0001"))
    assert "embedded tokens of step 0" in unreadable(trace, cache)


@pytest.mark.slow
def test_noise_that_was_changed_afterwards_no_longer_explains_the_gradient(tmp_path: Path) -> None:
    trace, cache = simulate.run(asked(), RIGHT, tmp_path), BasisCache()
    breaking.embedded(trace, lambda t: t["embedded/0001"][2].mul_(0.999))
    assert "weights.residual" in {finding.code for finding in judge(trace, cache).findings}


@pytest.mark.slow
def test_without_noise_nothing_of_the_embedding_is_kept(tmp_path: Path) -> None:
    trace = simulate.run(vary(scenarios.get("sft-ragged"), steps=1), RIGHT, tmp_path)
    assert not list((trace / "tensors").glob("embedded-*"))


@pytest.mark.slow
def test_noise_that_nobody_asked_for_is_named_and_followed(tmp_path: Path) -> None:
    plain = vary(scenarios.get("sft-ragged"), steps=1)
    found = judge(simulate.run(plain, CATALOGUE["noise-unasked"].plan, tmp_path), BasisCache())
    assert {f.code for f in found.findings} == {"inputs.noise"}
    assert [d.kind for d in found.diagnoses] == ["noise: unasked"]


def drawn(alpha: float, length: int, width: int, seed: int, divisor: float | None = None) -> Noise:
    within = alpha / math.sqrt(length * width if divisor is None else divisor)
    values = torch.rand(length, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Noise((2.0 * values - 1.0) * within, 1, 1, length, length, 0.0)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.01, 100.0), st.integers(16, 300), st.sampled_from([48, 64]), st.integers(0, 2**31))
def test_uniform_noise_is_right_and_no_other_size_is(alpha: float, length: int, width: int, seed: int) -> None:
    right = drawn(alpha, length, width, seed)
    assert check._off([right], alpha, check.RIGHT["length"]) is None
    for factor in (0.5, 0.7, 1.5, 2.0):
        assert check._off([right], alpha * factor, check.RIGHT["length"]) == "size"
    assert check._off([drawn(alpha, length, width, seed, 1.0)], alpha, check.WRONG["undivided"]) is None


def test_noise_whose_mean_is_not_0_is_told() -> None:
    one = drawn(5.0, 100, 48, 3)
    folded = Noise(one.values.abs(), 1, 1, 100, 100, 0.0)
    assert check._off([folded], 5.0, check.RIGHT["length"]) == "mean"

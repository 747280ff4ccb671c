"""The dtype of a reduction is told from the gradient's own numbers, once a step or once a micro-batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.intent.of_scenario import of_scenario
from harness.judging import evidence, reduced_in
from harness.judging.reduced_in import Told
from harness.judging.weigher import ByForward
from harness.oracle.basis_cache import Bases, BasisCache
from harness.traces import reader
from harness.verdicts import questions
from tests.faults import proof, simulate

ASKED = vary(scenarios.get("sft-ragged-bf16"), steps=1, reduction="bf16")


@pytest.fixture(scope="module")
def cache() -> BasisCache:
    return BasisCache()


def told(scenario: Scenario, fault: str | None, folder: Path, cache: BasisCache) -> Told:
    how = RIGHT if fault is None else CATALOGUE[fault].plan
    trace = reader.read(simulate.run(scenario, how, folder))
    intent = of_scenario(scenario)
    step = evidence.steps_of(trace)[0].under(intent)
    right = evidence.right_of(trace, intent, step, ByForward(scenario.model, Bases("tail", cache)))
    assert reduced_in.asked(right, step)
    return reduced_in.told(step, right, intent.rule)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 4])
def test_each_is_told_apart_whichever_is_asked_for(accumulation: int, tmp_path: Path, cache: BasisCache) -> None:
    coarse = vary(ASKED, accumulation=accumulation)
    fine = vary(coarse, reduction="fp32")
    assert told(coarse, None, tmp_path / "1", cache).dtype == "bf16"
    assert told(coarse, "fp32-reduction", tmp_path / "2", cache).dtype == "fp32"
    assert told(fine, None, tmp_path / "3", cache).dtype == "fp32"
    assert told(fine, "bf16-reduction", tmp_path / "4", cache).dtype == "bf16"


@pytest.mark.slow
def test_where_no_tensor_tells_it_stays_open(cache: BasisCache) -> None:
    """With a tied embedding, and sums over micro-batches in float32: reduced in either, each of them."""
    tied = vary(ASKED, tied_embeddings=True)
    judgement = proof.judged(tied, CATALOGUE["fp32-reduction"].plan, cache)
    assert (judgement.findings, judgement.open) == ((), (questions.REDUCTION,))
    assert CATALOGUE["fp32-reduction"].hidden(tied)


def test_numbers_of_bfloat16_are_known_however_long() -> None:
    drawn = torch.randn(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).exp()
    assert reduced_in._rounded(drawn.bfloat16().double() * (1 + 2.0**-24)) == (1.0, 10_000)
    share, _ = reduced_in._rounded(drawn)
    assert 0.01 < share < 0.04
    two = drawn.bfloat16().double() + drawn.flip(0).bfloat16().double()
    assert reduced_in._rounded(two)[0] < 0.6
    assert reduced_in._rounded(torch.zeros(3, dtype=torch.float64)) == (0.0, 0)

"""Faults on models of other families, under settings that show them; `test_catalogue.py` has their scenarios."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from harness.oracle.basis_cache import BasisCache
from tests.faults import kinds, proof

FAMILIES = ("sft-ragged-qwen2", "sft-ragged-qwen3", "sft-ragged-gpt2", "sft-ragged-gemma")


def _decaying(name: str) -> Scenario:
    return vary(scenarios.get(name), steps=2, weight_decay=0.1)


@pytest.mark.parametrize("name", FAMILIES)
def test_norms_and_biases_that_decay_are_named(name: str, cache: BasisCache) -> None:
    fault = CATALOGUE["decay-on-norms"]
    judgement = proof.judged(_decaying(name), fault.plan, cache)
    proof.assert_named(judgement, fault)
    assert {d.kind for d in judgement.diagnoses} == kinds.of("decay-on-norms", _decaying(name))


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FAMILIES)
def test_decay_on_matrices_alone_is_clean(name: str, cache: BasisCache) -> None:
    proof.assert_clean(proof.judged(_decaying(name), RIGHT, cache))


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FAMILIES)
def test_a_clean_run_is_clean_in_bf16(name: str, cache: BasisCache) -> None:
    """The floor simulates whatever operations a family has."""
    proof.assert_clean(proof.judged(vary(scenarios.get(name), steps=2, compute="bf16"), RIGHT, cache))


@pytest.mark.parametrize("fault", ["tied-head-lost", "tied-input-lost"])
def test_a_part_of_a_tied_gradient_that_is_lost_is_named_whatever_the_family(fault: str, cache: BasisCache) -> None:
    """By Llama too, whose scenarios are not tied."""
    base = scenarios.get("sft-ragged")
    scenario = vary(base, steps=1, model=replace(base.model, tied_embeddings=True))
    judgement = proof.judged(scenario, CATALOGUE[fault].plan, cache)
    proof.assert_named(judgement, CATALOGUE[fault])
    assert {d.kind for d in judgement.diagnoses} == {kinds.KINDS[fault]}

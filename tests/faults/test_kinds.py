"""Every planted fault has a kind of its own; `test_catalogue.py` sees that it is called by it."""

from __future__ import annotations

import pytest

import scenarios
from adapters.contract import vary
from adapters.faults import CATALOGUE, Plan
from tests.faults import kinds, proof


def test_no_two_faults_are_of_one_kind():
    assert set(kinds.KINDS) == set(CATALOGUE)
    assert len(set(kinds.KINDS.values())) == len(kinds.KINDS)


@pytest.mark.parametrize("fault", kinds.APART)
def test_somewhere_it_is_like_no_other(fault):
    assert kinds.of(fault, scenarios.get(kinds.APART[fault])) == {kinds.KINDS[fault]}


def test_faults_that_come_together_keep_their_kinds(cache):
    plan = Plan(keep="last", level="micro-batch", scale="1/GA", clip="none")
    judgement = proof.judged(vary(scenarios.get("sft-ragged"), steps=2), plan, cache)
    assert [d.kind for d in judgement.diagnoses] == [
        "dropped-micro-batches: 0, 1, 2 of 4",
        "mean-of-means: micro-batch",
        "gradient-scale: 1/GA",
    ], proof.told(judgement)

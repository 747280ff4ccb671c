"""Every planted fault has a kind of its own, the same wherever it is planted."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from adapters import torch_sft
from adapters.contract import Scenario
from adapters.faults import CATALOGUE, Plan
from tests.faults import expected, proof

KINDS = {
    "drop-intermediate": "dropped-micro-batches: 1, 2 of 4",
    "keep-first": "dropped-micro-batches: 1, 2, 3 of 4",
    "keep-last": "dropped-micro-batches: 0, 1, 2 of 4",
    "mean-of-micro-batches": "mean-of-means: micro-batch",
    "mean-of-ranks": "mean-of-means: rank",
    "mean-of-micro-steps": "mean-of-means: micro-step",
    "mean-of-rows": "mean-of-means: row",
    "scaled-by-accumulation": "gradient-scale: GA",
    "divided-by-accumulation": "gradient-scale: 1/GA",
    "scaled-by-world-size": "gradient-scale: world size",
    "prompt-trained": "loss-mask: everything",
    "eos-untrained": "loss-mask: no-eos",
    "first-token-untrained": "loss-mask: no-first",
    "mask-shifted": "loss-mask: shifted",
    "mask-late": "loss-mask: late",
    "tag-trained": "loss-mask: with-tag",
    "no-clipping": "clipping: none",
    "clipping-per-rank": "clipping: per-rank",
    "clipping-before-averaging": "clipping: before-averaging",
    "decay-on-norms": "weight-decay: more on norms",
    "learning-rate-late": "learning-rate-schedule: late",
    "learning-rate-early": "learning-rate-schedule: early",
    "learning-rate-misreported": "misreported: learning-rate of the next step",
    "learning-rate-zero-first": "learning-rate-schedule: zero-first",
    "wrong-beta1": "optimizer-moments: beta1",
    "wrong-beta2": "optimizer-moments: beta2",
    "wrong-eps": "optimizer-moments: eps",
    "step-count-ahead": "bias-correction",
    "rank-alone": "rank-desync",
    "row-repeated": "batch-composition: other rows",
    "attention-leaks": "attention-leak",
    "positions-run-on": "positions",
    "bf16-accumulation": "coarse-dtype",
    "gradient-not-zeroed": "stale-gradient",
    "decay-in-gradient": "coupled-decay",
    "label-smoothing": "unexplained-gradient",
}

FIRST = ("sft-ragged", "sft-ragged-decay", "sft-ragged-warmup", "sft-ragged-packed")
APART = {"mean-of-rows": "sft-ragged-batch2", "mask-late": "sft-ragged-batch2"}
"""What `make test-fast` tries a fault on: where it is like no other fault, else the first of these that shows it."""


def _scenario(name: str) -> Scenario:
    return replace(scenarios.get(name), steps=2)


def _seen(fault: str) -> list[str]:
    """Scenarios on which a fault must be found; for those that drop some, of the 4 micro-batches that `KINDS` names."""
    planted = CATALOGUE[fault]
    shown = [name for name in scenarios.CATALOGUE if torch_sft.unsupported(scenarios.get(name), "") is None]
    if planted.cause == "dropped-micro-batches":
        shown = [name for name in shown if scenarios.get(name).accumulation == 4]
    return [name for name in shown if planted.hidden(_scenario(name)) is None]


def _cases():
    for fault in CATALOGUE:
        seen = _seen(fault)
        quick = APART.get(fault) or next(name for name in FIRST if name in seen)
        for name in seen:
            marks = () if name == quick else (pytest.mark.slow,)
            yield pytest.param(fault, name, marks=marks, id=f"{fault}-on-{name}")


def _alike(fault: str, scenario: Scenario) -> set[str]:
    """Kinds of all faults that weigh every token as this one does: two means are one with one row a micro-batch."""
    own = CATALOGUE[fault]
    if own.cause not in ("mean-of-means", "loss-mask"):
        return {KINDS[fault]}
    others = (name for name, other in CATALOGUE.items() if other.cause == own.cause)
    return {KINDS[n] for n in others if expected.same_weights(scenario, own.plan, CATALOGUE[n].plan)}


@pytest.mark.parametrize(("fault", "name"), list(_cases()))
def test_the_kind_of_a_fault(fault, name, cache):
    scenario = _scenario(name)
    judgement = proof.judged(scenario, CATALOGUE[fault].plan, cache)
    (found,) = judgement.diagnoses
    alike = _alike(fault, scenario)
    assert found.kind in alike, proof.told(judgement)
    assert len(alike) == 1 or name != APART.get(fault)


def test_no_two_faults_are_of_one_kind():
    assert set(KINDS) == set(CATALOGUE)
    assert len(set(KINDS.values())) == len(KINDS)


def test_faults_that_come_together_keep_their_kinds(cache):
    plan = Plan(keep="last", level="micro-batch", scale="1/GA", clip="none")
    judgement = proof.judged(_scenario("sft-ragged"), plan, cache)
    assert [d.kind for d in judgement.diagnoses] == [
        "dropped-micro-batches: 0, 1, 2 of 4",
        "mean-of-means: micro-batch",
        "gradient-scale: 1/GA",
    ], proof.told(judgement)

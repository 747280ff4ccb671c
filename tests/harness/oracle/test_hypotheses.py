"""Laws of the hypotheses: which levels and factors coincide where, and masks that nobody has a name for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import vary
from adapters.faults import RIGHT, Plan
from harness.intent.objective import Level
from harness.intent.of_scenario import of_scenario
from harness.judging import judge
from harness.judging.evidence import StepEvidence
from harness.oracle import factors, hypotheses
from harness.oracle.basis_cache import BasisCache
from harness.oracle.hypotheses import Hypothesis
from harness.oracle.levels import LEVELS, same_levels
from harness.oracle.weighing import Place, weighing
from tests.faults import expected, proof


@pytest.fixture(scope="module")
def right(good: Path, bases: BasisCache) -> StepEvidence:
    """The first step of a right trace."""
    return judge.judge(good, bases).steps[0]


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.sampled_from(LEVELS))
def test_levels_are_one_where_they_weigh_every_token_alike(ranks: int, steps: int, rows: int, level: Level) -> None:
    base = scenarios.get("sft-ragged-batch2")
    scenario = vary(base, ranks=ranks, accumulation=steps, micro_batch_size=rows, steps=1)
    same = {other for other in LEVELS if expected.same_weights(scenario, Plan(level=level), Plan(level=other))}
    assert set(same_levels(of_scenario(scenario), level)) == same


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_every_factor_has_one_hypothesis_and_keeps_all_of_its_names(
    right: StepEvidence, ranks: int, steps: int, rows: int
) -> None:
    base = scenarios.get("sft-ragged")
    enough = base.data.rows[:1] * (ranks * steps * rows)
    scenario = vary(base, ranks=ranks, accumulation=steps, micro_batch_size=rows, steps=1, rows=enough)
    named = factors.named_factors(replace(right.right, intent=of_scenario(scenario)))
    assert {s.factor for s in named} >= {float(ranks), 1.0 / steps, float(ranks * steps)}
    assert len({s.name for s in named}) == len(named)


@pytest.mark.parametrize("off", [-9e-4, 2.5e-4, 9e-4, 2e-3])
def test_in_fp16_a_factor_near_a_known_one_is_that(right: StepEvidence, off: float) -> None:
    """The least of a gradient that is too small is rounded away."""
    coarse = replace(right.right, intent=of_scenario(scenarios.get("sft-ragged-fp16")))
    assert coarse.loss_scale is not None
    for step, near in ((coarse, abs(off) < 1e-3), (right.right, False)):
        factor = (1.0 + off) / coarse.loss_scale
        found = hypotheses.explain(step, step.slot_weights * factor, right.floor).hypothesis.scale
        assert found.name == ("1/loss scale" if near else factors.UNNAMED)
        assert found.factor == pytest.approx(factor, rel=1e-9)


def test_first_tokens_are_counted_where_they_are_marked(right: StepEvidence) -> None:
    """Those of whole rows: a response has another token before it."""
    whole = vary(scenarios.get("sft-ragged"), trained="everything")
    step = replace(right.right, intent=of_scenario(whole))
    found = {scale.name: scale.factor for scale in factors.named_factors(step)}
    assert found[factors.FIRSTS] == step.targets / (step.targets + len(step.conversations))
    assert factors.FIRSTS not in {scale.name for scale in factors.named_factors(right.right)}


@pytest.fixture(scope="module")
def rewarded() -> StepEvidence:
    """A step of rewards, of which both ranks' third micro-batch has no advantage."""
    return proof.judged(vary(scenarios.get("grpo-token"), steps=1), RIGHT, BasisCache()).steps[0]


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=5))
def test_micro_batches_are_dropped_if_they_should_weigh_something(rewarded: StepEvidence, places: set[Place]) -> None:
    w = weighing(rewarded.right, rewarded.floor)
    told = hypotheses.weighing_places(w)
    assert set(w.places) - told == {(0, 2), (1, 2)}
    recovered = hypotheses.predict(w, Hypothesis(dropped=frozenset(places))).weights
    assert hypotheses.dropped_places(w, recovered, rewarded.floor) == places & told


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_mask_that_has_no_name_is_told_by_the_marks(right: StepEvidence, data: st.DataObject) -> None:
    step = right.right
    marked = [
        tuple(data.draw(st.lists(st.booleans(), min_size=len(c.ids), max_size=len(c.ids)))) for c in step.conversations
    ]
    conversations = [replace(c, marked=m) for c, m in zip(step.conversations, marked, strict=True)]
    step = replace(step, conversations=conversations)
    w = weighing(step, right.floor)
    if not bool(hypotheses.masked(w, "as-marked").any()):
        return
    recovered = hypotheses.predict(w, Hypothesis(mask="as-marked")).weights
    found = hypotheses.explain(step, recovered, right.floor)
    assert found.excess <= 1.0
    assert torch.allclose(found.predicted, recovered, atol=1e-5 * float(recovered.abs().max()))


def test_marks_that_were_not_followed_do_not_explain_the_weights(right: StepEvidence) -> None:
    conversations = [replace(c, marked=(False,) + (True,) * (len(c.ids) - 1)) for c in right.right.conversations]
    step = replace(right.right, conversations=conversations)
    assert hypotheses.explain(step, right.observed.weights, right.floor).hypothesis == Hypothesis()

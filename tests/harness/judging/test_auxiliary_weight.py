"""What the weights of the auxiliary losses equal, on a right step whose recovered ones are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import vary
from adapters.faults import RIGHT, Plan
from harness.judging import coarse, judge
from harness.judging.auxiliary_weight import auxiliary_weight
from harness.judging.checks.auxiliary import auxiliary
from harness.judging.diagnosis import auxiliary as diagnosis
from harness.judging.evidence import StepEvidence
from tests.faults import proof, simulate


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> StepEvidence:
    trace = simulate.run(vary(scenarios.get("sft-ragged-moe-aux"), steps=1), RIGHT, tmp_path_factory.mktemp("aux"))
    judged = judge.judge(trace)
    assert not judged.findings, proof.told(judged)
    return judged.steps[0]


def changed(evidence: StepEvidence, how: Callable[[Tensor], Tensor]) -> StepEvidence:
    return replace(evidence, observed=replace(evidence.observed, terms=how(evidence.observed.terms)))


def trained(evidence: StepEvidence) -> Tensor:
    """Share of the trained tokens that each pass has, times their number; a pass has one row here."""
    count = {c.place: float(c.targets) for c in evidence.right.conversations}
    each = torch.tensor([count[term.place] for term in evidence.right.terms.names], dtype=torch.float64)
    return each * len(each) / each.sum()


CASES = {
    "auxiliary-loss: GA": lambda t, e: 4 * t,
    "auxiliary-loss: 1/GA": lambda t, e: t / 4,
    "auxiliary-loss: world size": lambda t, e: 2 * t,
    "auxiliary-loss: GA x world size": lambda t, e: 8 * t,
    "auxiliary-loss: missing": lambda t, e: 0 * t,
    "auxiliary-loss: by tokens": lambda t, e: t * trained(e),
    "auxiliary-loss: by tokens x GA": lambda t, e: 4 * t * trained(e),
    "auxiliary-loss: too long": lambda t, e: 3 * t,
    "auxiliary-loss: uneven": lambda t, e: t * torch.arange(8).double(),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_wrong_weight_is_found_and_named(right: StepEvidence, kind: str) -> None:
    wrong = changed(right, lambda terms: CASES[kind](terms, right))
    findings = auxiliary(wrong)
    assert [f.code for f in findings] == ["weights.auxiliary"]
    (cause,) = diagnosis.diagnoses([wrong], findings)
    assert (cause.cause, cause.kind) == ("auxiliary-loss", kind)
    assert cause.explains == (0.0 if kind.endswith("uneven") else 1.0)


def test_noise_within_the_floor_is_right_and_beyond_it_is_not(right: StepEvidence) -> None:
    allowed = right.floor.tolerance("auxiliary")
    noise = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    assert auxiliary(changed(right, lambda t: t * (1 + 0.5 * allowed * noise))) == []
    assert auxiliary(changed(right, lambda t: t * (1 + 2.5 * allowed * noise))) != []


def test_what_rounding_hides_is_unknown(right: StepEvidence) -> None:
    (finding,) = auxiliary(replace(right, floor=replace(right.floor, auxiliary=0.2)))
    assert finding.code == "run.incomplete"
    assert "rounding alone moves it by 1 of the right weight" in finding.message


def test_it_says_nothing_where_the_gradient_is_not_explained(right: StepEvidence) -> None:
    wrong = changed(right, lambda terms: 4 * terms)
    foreign = replace(wrong.observed, rest=wrong.observed.gradient)
    assert auxiliary(replace(wrong, observed=foreign)) == []


def test_a_dropped_micro_batch_takes_its_auxiliary_loss_with_it(tmp_path: Path) -> None:
    scenario = vary(scenarios.get("sft-ragged-moe-aux"), steps=1)
    judged = judge.judge(simulate.run(scenario, Plan(keep="first-and-last", scale="GA"), tmp_path))
    assert {d.cause for d in judged.diagnoses} == {"dropped-micro-batches", "gradient-scale"}, proof.told(judged)
    found = auxiliary_weight(judged.steps[0])
    assert found is not None
    assert found.right


def test_a_scenario_without_such_a_loss_has_no_weight_of_it(good: Path) -> None:
    assert auxiliary_weight(judge.judge(good).steps[0]) is None
    assert auxiliary(judge.judge(good).steps[0]) == []


@pytest.mark.parametrize("plan", [Plan(), Plan(auxiliary="GA")], ids=["right", "GA"])
def test_padded_micro_batches_count_their_tokens_alone(tmp_path: Path, plan: Plan) -> None:
    base = scenarios.get("sft-ragged-batch2")
    model = scenarios.get("sft-ragged-moe-aux").model
    scenario = vary(base, name="padded", model=model, auxiliary=0.02, steps=1)
    judged = judge.judge(simulate.run(scenario, plan, tmp_path))
    kinds = [] if plan == Plan() else ["auxiliary-loss: GA"]
    assert [d.kind for d in judged.diagnoses] == kinds, proof.told(judged)


@pytest.mark.parametrize(("share", "rounding"), [(0.004, True), (0.05, False)])
def test_other_routing_is_no_rounding(right: StepEvidence, share: float, rounding: bool) -> None:
    """In bfloat16 some tokens are routed otherwise, whose gradients would excuse whatever is wrong with a router's."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(right.observed.gradient), dtype=torch.float64, generator=generator)
    rest = share * right.observed.norm * noise / noise.norm()
    wrong = replace(right, observed=replace(right.observed, rest=rest))
    assert (coarse.explaining_floor(wrong) is not None) == rounding

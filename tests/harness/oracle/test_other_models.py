"""A gradient of a model that lacks its soft caps is explained by that model, and by no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import Scenario
from harness.intent.of_scenario import of_scenario
from harness.oracle import other_models
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import Bases, BasisCache
from harness.oracle.floor import State
from harness.oracle.observe import Moments
from harness.oracle.step import RightStep, right_step
from harness.traces.batch import Conversation
from scenarios import text, weights

BASES = Bases("tail", BasisCache())
ALLOWED = 1e-6


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return scenarios.get("sft-ragged-gemma")


def step(scenario: Scenario) -> tuple[RightStep, Mapping[str, Tensor]]:
    """Of the first three conversations."""
    rendered = [text.render(row, scenario.tokenizer.vocabulary) for row in scenario.data.rows[:3]]
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(scenario.model, 0).items()}
    conversations = [
        Conversation(0, i, 0, i, r.ids, r.loss_mask, r.loss_mask, None, None, (0,) * len(r.ids))
        for i, r in enumerate(rendered)
    ]
    return right_step(of_scenario(scenario), scenario.model, 0, conversations, parameters, BASES), parameters


def consumed(right: RightStep, parameters: Mapping[str, Tensor], **changed: object) -> Moments:
    """Adam's first moments after a step of a model that differs so."""
    model = replace(right.model, **changed)
    segments = [Segment(c.ids) for c in right.conversations]
    gradient = BASES.build(dict(parameters), model, segments).gradient(right.weights)
    nothing = torch.zeros_like(gradient)
    return Moments(nothing, 0.1 * gradient, nothing, 0.001 * gradient.square())


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"attention_softcap": None}, "scores"),
        ({"final_softcap": None}, "logits"),
        ({"attention_softcap": None, "final_softcap": None}, "scores and logits"),
    ],
)
def test_what_is_left_out_is_named(scenario: Scenario, changed: dict[str, object], what: str) -> None:
    right, parameters = step(scenario)
    found = other_models.explaining(
        right, consumed(right, parameters, **changed), 0.9, before(parameters), ALLOWED, BASES
    )
    assert found is not None
    assert found.what == what
    assert torch.allclose(found.observed.weights, right.weights, rtol=0, atol=1e-8)


def test_another_model_is_none_of_them(scenario: Scenario) -> None:
    right, parameters = step(scenario)
    moments = consumed(right, parameters, attention_softcap=1.0)
    assert other_models.explaining(right, moments, 0.9, before(parameters), ALLOWED, BASES) is None


def test_a_model_without_caps_has_no_other() -> None:
    right, parameters = step(scenarios.get("sft-ragged"))
    moments = consumed(right, parameters, rope_theta=500.0)
    assert other_models.explaining(right, moments, 0.9, before(parameters), ALLOWED, BASES) is None


def before(parameters):
    zeros = {name: torch.zeros_like(p) for name, p in parameters.items()}
    return State(parameters, zeros, zeros)

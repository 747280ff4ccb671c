"""A scenario's intent says what the scenario says, tensor by tensor and step by step."""

from __future__ import annotations

import pytest

import scenarios
from adapters.contract import Group, vary
from harness.intent.intent import Mean
from harness.intent.of_scenario import of_scenario
from scenarios import weights


@pytest.mark.parametrize("name", scenarios.CATALOGUE)
def test_the_rows_of_a_step_are_what_its_ranks_are_dealt(name: str) -> None:
    scenario = scenarios.get(name)
    intent = of_scenario(scenario)
    if intent.windows is None:
        assert scenario.data.packed_length is not None
        return
    every = [row for step in range(scenario.window.steps) for row in intent.rows(step)]
    assert every == [i % len(scenario.data.rows) for i in range(len(every))]
    full = len(scenario.data.rows) // scenario.rows_per_step
    assert [len(intent.rows(step)) for step in range(full)] == [scenario.rows_per_step] * full
    for step, window in enumerate(intent.windows or ()):
        for number, micro_batch in enumerate(window):
            for rank, rows in enumerate(micro_batch):
                assert rows == tuple(r for s in scenario.sequence_rows(step, number, rank) for r in s)


@pytest.mark.parametrize("name", scenarios.CATALOGUE)
def test_every_tensor_has_the_rate_of_the_schedule_and_matrices_alone_decay(name: str) -> None:
    scenario = scenarios.get(name)
    intent = of_scenario(scenario)
    for tensor, shape in weights.shapes(scenario.model).items():
        rule = scenario.optimizer
        assert intent.weight_decay(tensor) == rule.decay_of(tensor, len(shape))
        for step in range(-1, scenario.window.steps + 2):
            wanted = scenario.learning_rate_at(step) * rule.rate_of(tensor)
            assert intent.learning_rate(step, tensor) == pytest.approx(wanted, rel=1e-15)


def test_the_rest_is_as_the_scenario_has_it() -> None:
    scenario = scenarios.get("sft-ragged-bf16")
    intent = of_scenario(scenario)
    assert (intent.trained, intent.aggregation) == ("responses", Mean("token"))
    assert (intent.max_grad_norm, intent.precision, intent.steps) == (1.0, "bf16", 3)
    assert (intent.rule.beta1, intent.rule.beta2, intent.rule.eps) == (0.9, 0.999, 1e-8)


def test_a_tensor_in_no_group_is_named() -> None:
    with pytest.raises(ValueError, match=r"no group of the intent holds the tensor lm_head\.bias"):
        of_scenario(scenarios.get("sft-ragged")).weight_decay("lm_head.bias")


def test_a_group_has_its_own_rate_and_decay_and_the_first_that_holds_a_tensor_counts() -> None:
    own = (Group(("*.bias", "lm_head.weight"), rate=0.5), Group(("lm_head.*", "model.norm.*"), weight_decay=0.2))
    scenario = vary(scenarios.get("sft-ragged"), weight_decay=0.1, groups=own)
    found = of_scenario(scenario)
    said = {n: (found.rate_factor(n), found.weight_decay(n)) for n in ("lm_head.weight", "model.norm.weight")}
    assert said == {"lm_head.weight": (0.5, 0.1), "model.norm.weight": (1.0, 0.2)}
    assert found.weight_decay("model.layers.0.input_layernorm.weight") == 0.0
    every = of_scenario(vary(scenario, decayed="all"))
    assert every.weight_decay("model.layers.0.input_layernorm.weight") == 0.1

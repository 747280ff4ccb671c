"""Scenarios are the same on every machine, and survive the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from adapters.contract import Message, Scenario, Schedule, scenario_from_dict, to_dict, vary
from harness.intent.of_scenario import of_scenario
from scenarios import text
from scenarios.catalogue import RAGGED

# Traces recorded long ago are known by these. A change here makes every old trace one of another scenario.
HASHES = {
    "sft-ragged": "8fbba418d3c6e24e",
    "sft-equal": "be4ce43110899adb",
    "sft-ragged-noclip": "e475bd1d3083361d",
    "sft-ragged-decay": "ba4a095bbfc5622e",
    "sft-ragged-decay-all": "17a643cad972b6b7",
    "sft-ragged-groups": "5e3c0d6906639bb4",
    "sft-ragged-warmup": "5f793ae3d0280f90",
    "sft-ragged-cosine": "6f23e9f828b0a224",
    "sft-ragged-batch2": "e4287391f962f9b3",
    "sft-ragged-packed": "d90c5e3dc444b7c4",
    "sft-ragged-packing": "4eebcd8cab9a601e",
    "sft-ragged-bf16": "5427f5ac39dbca86",
    "sft-ragged-pairs": "995490d554ada256",
    "sft-ragged-moe": "91d159f5c89e16ce",
    "sft-ragged-moe-aux": "fc8b4338b41f6692",
    "sft-ragged-processor": "f6797381be62874b",
    "sft-ragged-stablelm": "68e84d6c347ab992",
    "sft-ragged-pad-eos": "47bddaf92fd5352d",
    "sft-ragged-bos": "3838d2e94451ab08",
    "sft-ragged-zero1": "927f8d5ee86268e6",
    "sft-ragged-zero2": "9467b76b625fcae8",
    "sft-ragged-zero2-bare-loss": "f33a9fa2a9f56549",
    "sft-ragged-zero2-offload": "f14a655a98a70d3d",
    "sft-ragged-zero2-bf16": "65e20bf7299b6d18",
    "sft-ragged-zero1-bf16": "42d05a00567ce124",
    "sft-ragged-zero3": "5cd69a84bae06522",
    "sft-ragged-zero3-offload": "ee3578fa5eaacec6",
    "sft-ragged-fsdp": "e8eb76cf2c3e338e",
    "sft-ragged-fp16": "4f3adea4b79a7a59",
    "sft-ragged-zero2-fp16": "1eb7fef5cd6e36b2",
    "sft-ragged-qwen2": "b3a37755860de380",
    "sft-ragged-qwen3": "fabef589cecb0268",
    "sft-ragged-gpt2": "eece1a6754fc56dd",
    "sft-ragged-gemma": "25188a7a8a2267fc",
    "sft-ragged-epochs": "0fc8dfbac16ab2e2",
    "sft-ragged-cosine-epochs": "fb95b54d5ce8d8e9",
    "sft-ragged-paper": "9e6461f8e61d8440",
    "sft-ragged-shuffled": "41cb6217430b879e",
    "sft-ragged-smoothed": "cc90f9d1d590df6a",
    "sft-ragged-lora": "ac0724ad5a7f9a3e",
    "sft-ragged-rslora": "3f2e427d5ecd9099",
    "sft-ragged-checkpointed": "b55ed3af3f0e0f53",
    "sft-ragged-dft": "94f2b65f93b0accf",
    "sft-ragged-resume": "ed6aa0e7942c4e77",
    "dpo-ragged": "cd0e8b117e1ef338",
    "dpo-smoothed": "0d4f8d7cc8ced2c8",
    "dpo-ipo": "8458e96fd93e749e",
    "dpo-ipo-mean": "aee80db75eff4cde",
    "dpo-with-sft": "b1fc5907fb4805e0",
    "grpo-token": "31b79d01c6d2592e",
    "grpo-row": "2f819c0bcab03c93",
    "grpo-constant": "cfb3e8acffceb865",
    "grpo-stale": "5266435bb909a818",
    "grpo-divergence": "97b0ff8981056e83",
    "grpo-sequence": "71feaeeeb43f3fb2",
    "grpo-masked": "4b23b1ab681ba346",
    "grpo-mixed": "e94ec5bcba003e28",
}
NAMES = tuple(scenarios.CATALOGUE)


def response_lengths(scenario: Scenario, step: int) -> list[int]:
    rows = [text.render(scenario.data.rows[i], scenario.tokenizer.vocabulary) for i in scenario.step_rows(step)]
    return [sum(row.loss_mask) for row in rows]


def test_hashes_are_what_they_were() -> None:
    assert {name: scenarios.get(name).hash for name in NAMES} == HASHES


def test_the_hash_is_of_all_but_the_name() -> None:
    scenario = scenarios.get("sft-ragged")
    assert replace(scenario, name="other").hash == scenario.hash
    for change in (
        {"ranks": 1},
        {"seed": 1},
        {"max_grad_norm": None},
        {"eps": 1e-7},
        {"rms_eps": 1e-6},
        {"rows": scenario.data.rows[::-1]},
    ):
        assert vary(scenario, **change).hash != scenario.hash, change


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_named_as_in_the_catalogue_and_differs_by_seed(name: str) -> None:
    assert scenarios.get(name).name == name
    assert scenarios.get(name, 3) == scenarios.get(name, 3)
    assert scenarios.get(name, 3).data.rows != scenarios.get(name, 4).data.rows


@pytest.mark.parametrize("name", [name for name in NAMES if scenarios.get(name).data.epochs == 1])
def test_every_row_is_trained_once(name: str) -> None:
    scenario = scenarios.get(name)
    every = [row for step in range(scenario.window.steps) for row in of_scenario(scenario).rows(step)]
    assert every == list(range(len(scenario.data.rows)))
    assert len(every) == scenario.rows_per_step * scenario.window.steps


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("sft-ragged")])
def test_ragged_responses_are_ragged_on_every_level(name: str) -> None:
    """Rows, micro-batches, micro-steps over the ranks, and ranks: each mean must be over another number of tokens."""
    scenario = scenarios.get(name)
    for step in range(scenario.window.steps):
        per_place = {
            (rank, micro_batch): sum(
                sum(text.render(scenario.data.rows[row], scenario.tokenizer.vocabulary).loss_mask)
                for sequence in scenario.sequence_rows(step, micro_batch, rank)
                for row in sequence
            )
            for rank in range(scenario.window.ranks)
            for micro_batch in range(scenario.micro_batches(step))
        }
        by_rank = {r: sum(n for (rank, _), n in per_place.items() if rank == r) for r in range(scenario.window.ranks)}
        by_step = {
            m: sum(n for (_, at), n in per_place.items() if at == m) for m in range(scenario.micro_batches(step))
        }
        assert len(set(response_lengths(scenario, step))) > 4
        assert len(set(per_place.values())) > 2
        assert len(set(by_rank.values())) == scenario.window.ranks
        assert len(set(by_step.values())) > 1


def test_the_ragged_base_is_the_published_one() -> None:
    scenario = scenarios.get("sft-ragged")
    assert response_lengths(scenario, 0) == list(RAGGED)
    assert sum(RAGGED) == 140
    assert sorted(response_lengths(scenario, 1)) == sorted(RAGGED)
    assert response_lengths(scenario, 1) != list(RAGGED)


def test_the_control_has_equal_responses() -> None:
    scenario = scenarios.get("sft-equal")
    assert {n for step in range(scenario.window.steps) for n in response_lengths(scenario, step)} == {17}


def test_patterns() -> None:
    assert scenarios.matching("sft-equal") == ["sft-equal"]
    assert scenarios.matching("*zero3") == ["sft-ragged-zero3"]
    assert scenarios.matching("*") == list(NAMES)
    assert scenarios.matching("SFT-EQUAL") == []
    with pytest.raises(KeyError):
        scenarios.get("sft-raged")


def test_warmup_rises_to_the_learning_rate() -> None:
    scenario = vary(scenarios.get("sft-ragged-warmup"), learning_rate=1.0)
    assert [scenario.learning_rate_at(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    constant = vary(scenario, schedule=Schedule())
    assert {constant.learning_rate_at(step) for step in range(6)} == {1.0}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_scenario_survives_the_wire(name: str, seed: int) -> None:
    scenario = scenarios.get(name, seed)
    assert scenario_from_dict(json.loads(json.dumps(to_dict(scenario)))) == scenario


def _without(field: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data.pop(field)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d["data"].pop("rows"), "rows"),
        (lambda d: d["tokenizer"].pop("vocabulary"), "vocabulary"),
        (_without("name"), "name"),
        (lambda d: d.update(flavour="sour"), "flavour"),
        (lambda d: d["data"].update(rows=None), "scenario"),
        (lambda d: d["data"].update(rows=7), "scenario"),
        (lambda d: d["data"].update(rows=[]), "0 long"),
        (lambda d: d["data"].update(rows=[[]]), "rows"),
        (lambda d: d["data"].update(rows=["text"]), "scenario"),
        (lambda d: d["data"].update(rows=[[{"role": "user"}]]), "content"),
        (lambda d: d["data"]["rows"][0][0].update(role="tool"), "role"),
        (lambda d: d["data"]["rows"][0][0].update(content=5), "content"),
        (lambda d: d["tokenizer"].update(vocabulary=5), "scenario"),
        (lambda d: d["tokenizer"]["vocabulary"].pop(), "vocabulary"),
        (lambda d: d["tokenizer"]["vocabulary"].__setitem__(7, 7), "vocabulary"),
        (lambda d: d["tokenizer"]["vocabulary"].__setitem__(7, d["tokenizer"]["vocabulary"][8]), "vocabulary"),
        (lambda d: d.update(model=None), "Model"),
        (lambda d: d["model"].update(colour=1), "colour"),
        (lambda d: d["model"].update(hidden_size="48"), "hidden_size"),
        (lambda d: d["model"].update(hidden_size=0), "hidden_size"),
        (lambda d: d["model"].update(heads=-4), "heads"),
        (lambda d: d["model"].update(heads=5), "heads"),
        (lambda d: d["model"].update(kv_heads=3), "kv_heads"),
        (lambda d: d["model"].update(layers=10**9), "layers"),
        (lambda d: d["model"].update(hidden_size=12, heads=4), "heads"),
        (lambda d: d["model"].update(experts=4), "experts"),
        (lambda d: d["model"].update(experts_per_token=2), "experts_per_token"),
        (lambda d: d["model"].update(architecture="mixtral", experts=4, experts_per_token=5), "experts_per_token"),
        (lambda d: d["model"].update(architecture="mixtral", experts=513), "experts"),
        (lambda d: d["model"].update(architecture="mixtral", experts=0), "experts"),
        (lambda d: d["loss"].update(auxiliary=0.1), "auxiliary"),
        (lambda d: d["loss"].update(auxiliary=float("nan")), "auxiliary"),
        (lambda d: d["model"].update(rms_eps="tiny"), "rms_eps"),
        (lambda d: d["model"].update(architecture="mamba"), "architecture"),
        (lambda d: d["model"].update(attention_softcap=0.0), "attention_softcap"),
        (lambda d: d["model"].update(final_softcap="soft"), "final_softcap"),
        (lambda d: d["model"].update(tied_embeddings=1), "tied_embeddings"),
        (lambda d: d.update(optimizer=[]), "Optimizer"),
        (lambda d: d["optimizer"].update(beta1="high"), "beta1"),
        (lambda d: d["optimizer"].update(beta1=1.0), "beta1"),
        (lambda d: d["optimizer"].update(beta2=float("nan")), "beta2"),
        (lambda d: d["optimizer"].update(learning_rate=float("inf")), "learning_rate"),
        (lambda d: d["optimizer"].update(learning_rate=0.0), "learning_rate"),
        (lambda d: d["sharding"].update(strategy="zero4"), "zero4"),
        (lambda d: d["precision"].update(compute="fp8"), "fp8"),
        (lambda d: d["optimizer"]["schedule"].update(decay="sine"), "sine"),
        (lambda d: d["optimizer"].update(decayed="norms"), "norms"),
        (lambda d: d["optimizer"].update(groups=[{"tensors": []}]), "groups[0].tensors"),
        (lambda d: d["optimizer"].update(groups=[{"tensors": ["*"], "rate": 0.0}]), "groups[0].rate"),
        (lambda d: d["optimizer"].update(groups=[{"tensors": ["*"], "weight_decay": -1.0}]), "groups[0].weight_decay"),
        (lambda d: d["optimizer"].update(groups=[{"rate": 0.5}]), "tensors"),
        (lambda d: d["loss"].update(engine_output="tuple"), "tuple"),
        (lambda d: d.update(device="tpu"), "tpu"),
        (lambda d: d["sharding"].update(strategy=["none"]), "sharding"),
        (lambda d: d["window"].update(steps=-1), "steps"),
        (lambda d: d["window"].update(steps=0), "steps"),
        (lambda d: d["window"].update(steps=1e3), "steps"),
        (lambda d: d["window"].update(steps=True), "steps"),
        (lambda d: d["window"].update(steps=10**12), "steps"),
        (lambda d: d["window"].update(ranks=0), "ranks"),
        (lambda d: d["window"].update(accumulation="4"), "accumulation"),
        (lambda d: d["window"].update(micro_batch_size=0), "micro_batch_size"),
        (lambda d: d["data"].update(rows_per_sequence=0), "rows_per_sequence"),
        (lambda d: d["window"].update(accumulation=13), "rows"),
        (lambda d: d["optimizer"]["schedule"].update(warmup_steps=-1), "warmup_steps"),
        (lambda d: d["optimizer"]["schedule"].update(decay="cosine", warmup_steps=3), "horizon"),
        (lambda d: d["optimizer"]["schedule"].update(decay="cosine", horizon=-1), "horizon"),
        (lambda d: d["optimizer"]["schedule"].update(decay="cosine", horizon=2**20), "horizon"),
        (lambda d: d["optimizer"]["schedule"].update(stable_steps=1), "stable_steps"),
        (lambda d: d["optimizer"]["schedule"].update(least=1.5), "least"),
        (lambda d: d["optimizer"]["schedule"].update(warmup_ratio=1.0), "warmup_ratio"),
        (lambda d: d["optimizer"]["schedule"].update(warmup_ratio=0.1, warmup_steps=1), "warmup_ratio"),
        (lambda d: d["optimizer"]["schedule"].update(power=0.0), "power"),
        (lambda d: d["optimizer"]["schedule"].update(power=2.0), "power"),
        (lambda d: d["optimizer"]["schedule"].update(warmup_from="nowhere"), "nowhere"),
        (lambda d: d["optimizer"]["schedule"].update(least_at="never"), "never"),
        (
            lambda d: d["optimizer"].update(schedule={"decay": "linear", "horizon": 1, "least_at": "last"}),
            "without a learning rate in every step",
        ),
        (lambda d: d["optimizer"].update(max_grad_norm="one"), "max_grad_norm"),
        (lambda d: d["optimizer"].update(max_grad_norm=0.0), "max_grad_norm"),
        (lambda d: d["sharding"].update(offload_optimizer="no"), "offload_optimizer"),
        (lambda d: d["sharding"].update(strategy="zero2", offload_parameters=True), "offload_parameters"),
        (lambda d: d["sharding"].update(strategy="zero3", replicas=2), "replicas"),
        (lambda d: d["sharding"].update(strategy="fsdp", replicas=0), "replicas"),
        (lambda d: d["sharding"].update(strategy="fsdp", replicas=2), "replicas"),
        (lambda d: d["sharding"].update(strategy="zero3", secondary=2), "a divisor of the 2 ranks, and fewer"),
        (lambda d: d["sharding"].update(strategy="zero2", secondary=2), "secondary"),
        (lambda d: d["sharding"].update(strategy="zero3", secondary=0), "secondary"),
        (lambda d: d["precision"].update(masters="none"), "masters"),
        (lambda d: d["precision"].update(masters="bf16"), "masters"),
        (lambda d: d["precision"].update(compute="fp16", loss_scale=3.0), "loss_scale"),
        (lambda d: d["precision"].update(compute="fp16", loss_scale=0.0), "loss_scale"),
        (lambda d: d["precision"].update(compute="fp16", loss_scale=2.0**40), "loss_scale"),
        (lambda d: d["precision"].update(loss_scale=2.0**20), "loss_scale"),
        (lambda d: d.update(seed=-1), "seed"),
        (lambda d: d.update(name=["x"]), "name"),
    ],
)
def test_what_is_no_scenario_is_a_value_error_of_one_line(spoil: Callable[[dict[str, Any]], Any], said: str) -> None:
    data = json.loads(json.dumps(to_dict(scenarios.get("sft-ragged"))))
    spoil(data)
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as error:
        scenario_from_dict(data)
    assert said in str(error.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(field=st.sampled_from(sorted(to_dict(scenarios.get("sft-ragged")))), value=anything)
def test_a_field_of_any_json_is_read_or_refused(field: str, value: Any) -> None:
    data = to_dict(scenarios.get("sft-ragged"))
    told = ""
    try:
        assert scenario_from_dict({**data, field: value}).hash
    except ValueError as error:
        told = str(error)
    assert "\n" not in told


def test_messages_are_values() -> None:
    assert Message("user", "a") == Message("user", "a")
    assert hash(scenarios.get("sft-ragged")) == hash(scenarios.get("sft-ragged"))

"""What is stacked holds the same numbers, and a trace of it is read as one of the checkpoint's own names."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import Model, vary
from adapters.faults import RIGHT
from harness.judging.judge import judge
from harness.traces import reader
from scenarios import weights
from scenarios.architectures import FAMILIES
from scenarios.architectures.stacked import Stacked, held
from tests.faults import simulate
from tests.harness import breaking

MIXTRAL = Model(architecture="mixtral", experts=3, experts_per_token=2, layers=2, hidden_size=16, intermediate_size=20)


@pytest.mark.parametrize("name", FAMILIES)
def test_all_numbers_are_there_once(name) -> None:
    model = replace(Model(), architecture=name)
    shapes, stacked = weights.shapes(model), weights.stacked(model)
    parts = [part for stack in stacked.values() for part in stack.parts]
    assert len(set(parts)) == len(parts)
    sizes = [sum(map(math.prod, every.values())) for every in (shapes, held(shapes, stacked))]
    assert sizes[0] == sizes[1]


def test_parts_have_one_shape() -> None:
    shapes = weights.shapes(MIXTRAL)
    for stack in weights.stacked(MIXTRAL).values():
        assert len({shapes[part] for part in stack.parts}) == 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold 6 numbers"):
        held({"a": (2, 3)}, {"every-a": Stacked((2, 4), ("a",))})


def test_names_are_those_of_newer_releases() -> None:
    assert weights.stacked(MIXTRAL).keys() == {
        f"model.layers.{i}.mlp.{name}"
        for i in range(2)
        for name in ("gate.weight", "experts.gate_up_proj", "experts.down_proj")
    }


def stack(tensors: dict[str, Tensor]) -> None:
    """As transformers holds them since 5.0: experts by their number, gate above up (`MixtralExperts`)."""
    for kind in {name.partition("/")[0] for name in tensors}:
        for layer in range(2):
            at, to = f"{kind}/model.layers.{layer}.block_sparse_moe", f"{kind}/model.layers.{layer}.mlp"
            every = [[tensors.pop(f"{at}.experts.{e}.w{i}.weight") for i in (1, 2, 3)] for e in range(4)]
            tensors[f"{to}.gate.weight"] = tensors.pop(f"{at}.gate.weight")
            tensors[f"{to}.experts.gate_up_proj"] = torch.stack([torch.cat((w1, w3)) for w1, _, w3 in every])
            tensors[f"{to}.experts.down_proj"] = torch.stack([w2 for _, w2, _ in every])


def test_a_trace_of_stacked_experts_is_one_of_single_ones(tmp_path: Path) -> None:
    trace = simulate.run(vary(scenarios.get("sft-ragged-moe"), steps=1), RIGHT, tmp_path)
    single = {(step, rank): reader.read(trace).tensors(step, rank) for step in (0, 1) for rank in (0, 1)}
    for step, rank in single:
        breaking.tensors(trace, stack, step, rank)
    again = reader.read(trace)
    for (step, rank), tensors in single.items():
        found = again.tensors(step, rank)
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert not judge(trace).findings

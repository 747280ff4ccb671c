"""How the first parameters of a run differ from its checkpoint's, whatever was done to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import vary
from adapters.faults import RIGHT
from harness.intent.of_scenario import of_scenario
from harness.judging import initial
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces import reader
from tests.faults import simulate
from tests.harness import breaking

SCENARIO = vary(scenarios.get("sft-ragged-decay"), steps=1)
NAME = "model.layers.0.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate.run(SCENARIO, RIGHT, tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda p: p * (1 - 1e-3 * 0.1), "decayed"),
        (lambda p: p * 0.5, "factor"),
        (lambda p: p * -1.0, "factor"),
        (lambda p: p.bfloat16().float(), "rounded"),
        (lambda p: p.half().float(), "otherwise"),
        (torch.zeros_like, "anew"),
        (lambda p: p.flip(0), "anew"),
        (lambda p: torch.full_like(p, 0.02), "anew"),
        (lambda p: p + 1e-3 * p.flip(0), "otherwise"),
    ],
)
def test_how_a_tensor_differs(trained: Path, change: Callable[[Tensor], Tensor], how: str, tmp_path: Path) -> None:
    trace = Path(shutil.copytree(trained, tmp_path / "trace"))
    for rank in range(2):
        breaking.tensors(trace, lambda t: t.update({f"param/{NAME}": change(t[f"param/{NAME}"])}), 0, rank)
    read = reader.read(trace)
    (other,) = initial.others(read, of_scenario(SCENARIO))
    assert (other.name, other.how) == (NAME, how)


@pytest.mark.parametrize("kind", ["adagrad", "rmsprop"])
def test_a_step_by_the_decay_alone_is_known(kind: str, tmp_path: Path) -> None:
    """Adagrad's first step moves each element by the whole rate, RMSprop's by that over the root of 1 - alpha."""
    scenario = vary(SCENARIO, kind=kind)
    far = 1e-3 if kind == "adagrad" else 1e-3 / (1 - scenario.optimizer.alpha) ** 0.5
    trace = simulate.run(scenario, RIGHT, tmp_path / "trace")

    def change(tensors: dict[str, Tensor]) -> None:
        p = tensors[f"param/{NAME}"].double()
        pull = scenario.optimizer.weight_decay * p
        tensors[f"param/{NAME}"] = (p - far * pull / (pull.abs() + scenario.optimizer.eps * far / 1e-3)).float()

    for rank in range(2):
        breaking.tensors(trace, change, 0, rank)
    (other,) = initial.others(reader.read(trace), of_scenario(scenario))
    assert (other.name, other.how) == (NAME, "stepped")
    (cause,) = judge(trace, BasisCache()).diagnoses
    assert cause.cause == "decayed-before-training"


def test_the_checkpoint_is_no_other(trained: Path) -> None:
    assert not initial.findings(reader.read(trained), of_scenario(SCENARIO))


def test_each_way_is_a_finding_of_its_own(trained: Path, tmp_path: Path) -> None:
    trace = Path(shutil.copytree(trained, tmp_path / "trace"))

    def change(tensors: dict[str, Tensor]) -> None:
        tensors["param/lm_head.weight"] *= 2.0
        tensors["param/model.norm.weight"].zero_()

    for rank in range(2):
        breaking.tensors(trace, change, 0, rank)
    told = judge(trace, BasisCache())
    first = [d.kind for d in told.diagnoses if d.cause == "initial-weights"]
    assert sorted(first) == ["initial-weights: anew", "initial-weights: factor"]

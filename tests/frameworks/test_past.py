"""The oldest releases that have a recipe, as people got them on their day: what is wrong in each, and what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING
from tests.frameworks.proofs import words

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(3600)]

BATCH, RANK, DROPPED = "mean-of-means: micro-batch", "mean-of-means: rank", "dropped-micro-batches: 1, 2 of 4"
LUFFY = "openrlhf==0.8.3,deepspeed==0.16.9"
"""What the baseline of arXiv 2604.23747 was trained with."""
WRONG = {
    LUFFY: {"sft-ragged": [BATCH], "sft-ragged-zero2-offload": [DROPPED, BATCH], "sft-ragged-bf16": [BATCH]},
    "openrlhf==0.6.0": {"sft-ragged": [BATCH], "sft-ragged-pairs": [BATCH]},
    "openrlhf==0.7.0": {"sft-ragged": [BATCH], "sft-ragged-pairs": ["loss-mask: no-first", BATCH]},
    "openrlhf==0.8.11": {"sft-ragged": [BATCH], "sft-ragged-bf16": [BATCH, "bias-correction"]},
    "trl==0.9.6": {"sft-ragged": [BATCH], "sft-ragged-pairs": [BATCH]},
    "llamafactory==0.9.0": {"sft-ragged": [BATCH], "sft-ragged-pairs": [BATCH]},
    "llamafactory==0.9.1": {"sft-ragged": [RANK], "sft-ragged-pairs": [RANK], "sft-ragged-zero2-offload": [RANK]},
}
"""By release and scenario, the kinds of what is wrong; `sft-equal` is right in all of them."""


QWEN = 'base = "sft-ragged-decay"\n[model]\narchitecture = "qwen2"\n'


@pytest.fixture(scope="module", params=WRONG)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environments) -> tuple[str, Run]:
    chosen = [*WRONG[request.param], "sft-equal"]
    arguments = ["--framework", request.param, *words("--scenario", chosen)]
    return request.param, command.run(tmp_path_factory.mktemp("past"), environments, *arguments, timeout=BUILDING)


def test_what_is_wrong_is_named_and_known(run: tuple[str, Run]) -> None:
    release, ran = run
    for scenario, kinds in WRONG[release].items():
        cell = ran.cell(f"{release}/{scenario}")
        assert (cell.verdict, [d.kind for d in cell.diagnoses]) == ("fail", kinds), scenario
        assert all(d.upstream for d in cell.diagnoses), scenario


def test_what_cannot_differ_is_right(run: tuple[str, Run]) -> None:
    release, ran = run
    cell = ran.cell(f"{release}/sft-equal")
    assert (cell.verdict, [f.message for f in cell.findings]) == ("pass", [])


@pytest.mark.parametrize(
    ("release", "first"),
    [("trl==0.9.6", "5 tensors (model.layers.0.input_layernorm.weight"), ("trl==0.18.1", "model.norm.weight")],
)
def test_norms_of_qwen_decay_under_an_old_trainer(release: str, first: str, tmp_path: Path, environments: Path) -> None:
    """With LLaMA none does: it is what `sft-ragged-decay` has."""
    scenario = tmp_path / "norms.toml"
    scenario.write_text(QWEN)
    chosen = ["--framework", release, "--scenario", str(scenario), "--scenario", "sft-ragged-decay"]
    ran = command.run(tmp_path, environments, *chosen, timeout=BUILDING)
    decays = [d for d in ran.cell(f"{release}/norms").diagnoses if d.cause == "weight-decay"]
    assert [(d.evidence.startswith(first), bool(d.upstream)) for d in decays] == [(True, True)]
    assert "weight-decay" not in {d.cause for d in ran.cell(f"{release}/sft-ragged-decay").diagnoses}

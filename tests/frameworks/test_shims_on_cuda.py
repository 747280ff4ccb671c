"""No shim that is there for a CPU is applied on CUDA: asked of newest releases, up to their first call of a device."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

import pytest

import scenarios
from adapters.contract import ANYWHERE, ON_A_CPU, Scenario, to_dict, vary
from harness import processes
from harness.environments import build, recipes
from harness.environments.request import Request
from harness.launch.pythonpath import adapters_alone

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

ASKED = Path(__file__).with_name("asked_shims.py")
DOCS = Path(__file__).parents[2] / "docs" / "frameworks.md"
OLDER = [("openrlhf", "0.9.10"), ("verl", "0.5.0"), ("verl", "0.7.1"), ("deepspeed", "0.18.9")]
"""Releases of another trainer, or of more shims."""
NEWEST = [(name, None) for name in recipes.shipped().framework]
OF_VALIDATE = {"engine-joined", "labels-told"}
"""Applied by `adapters.given` alone, to a user's own program."""


def wanted(device: str) -> list[Scenario]:
    """The catalogue, and what has a shim of its own in no scenario of it."""
    base = scenarios.get("sft-ragged")
    others = [
        vary(base, name="fsdp1", strategy="fsdp1"),
        vary(base, name="hybrid", strategy="fsdp1", ranks=4, replicas=2, steps=1),
        vary(base, name="liger", implementation="liger"),
        vary(base, name="bf16-zero3", strategy="zero3", compute="bf16"),
    ]
    every = [scenarios.get(name) for name in scenarios.CATALOGUE]
    return [vary(one, device=device) for one in (*every, *others)]


@cache
def asked(framework: str, version: str | None, environments: Path) -> dict[str, dict[str, list[str]]]:
    """By device and scenario, the names of what is changed."""
    environment = build.ensure(Request(framework, version).resolved(), environments, print)
    found: dict[str, dict[str, list[str]]] = {}
    for device in ("cpu", "cuda"):
        with adapters_alone() as folder:
            own = {"PYTHONPATH": str(folder), "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": ""}
            if device == "cuda":
                own["DS_ACCELERATOR"] = "cuda"  # what DeepSpeed finds by itself where there is a card
            variables = environment.environ("cpu" if device == "cpu" else "cuda", {**os.environ, "HF_HUB_OFFLINE": "1"})
            words = [environment.framework, environment.version, environment.adapter, str(folder)]
            done = processes.run(
                [str(environment.python), str(ASKED), *words],
                {**variables, **own},
                stdin=json.dumps([to_dict(scenario) for scenario in wanted(device)]),
                timeout=600,
                folder=folder,
                cwd=folder,
            )
        assert done.code == 0, done.errors[-2000:]
        told = json.loads(done.output.splitlines()[-1])
        assert [(name, wrong) for name, _, wrong in told if wrong is not None] == []
        found[device] = {name: shims for name, shims, _ in told}
    return found


@pytest.mark.parametrize(
    ("framework", "version"),
    [
        *(pytest.param(*one, marks=[] if one[0] == "trl" else [pytest.mark.exhaustive]) for one in NEWEST),
        *(pytest.param(*one, marks=pytest.mark.exhaustive) for one in OLDER),
    ],
)
def test_none_of_a_cpu_is_applied_on_cuda(framework: str, version: str | None, environments: Path) -> None:
    found = asked(framework, version, environments)
    assert found["cpu"]
    assert found["cuda"]
    assert not ON_A_CPU & {shim for shims in found["cuda"].values() for shim in shims}
    assert {shim for device in found.values() for shims in device.values() for shim in shims} <= ON_A_CPU | ANYWHERE


def test_each_shim_stands_in_the_documentation_with_where_it_is_applied() -> None:
    text = DOCS.read_text()
    rows = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)}
    assert named == ON_A_CPU | ANYWHERE
    (said,) = re.findall(r"On CUDA there are these of\s+them: (.*?)\.", text, re.DOTALL)
    assert set(re.findall(r"`([a-z0-9-]+)`", said)) == ANYWHERE


def test_each_shim_with_a_proof_has_a_place() -> None:
    from tests.frameworks.test_shims import PROOFS

    assert not ON_A_CPU & ANYWHERE
    assert PROOFS.keys() <= ON_A_CPU | ANYWHERE

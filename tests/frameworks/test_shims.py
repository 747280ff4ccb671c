"""A shim makes a release run, and never right: what is known to be wrong is found where each of them is applied."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.environments import build
from harness.environments.request import Request
from harness.traces import text_files
from tests.frameworks import command, proofs
from tests.frameworks.command import Joined, Run
from tests.frameworks.reading import causes

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

DROPPED, MEANS, COARSE = "dropped-micro-batches", "mean-of-means", "coarse-dtype"


class Proof(NamedTuple):
    """A release that is wrong, and is called so, with the shim applied."""

    run: str
    """The fixture it is in."""
    cell: str
    cause: str


OFFLOAD = Proof("deepspeed", "deepspeed==0.15.2/sft-ragged-zero2-offload", DROPPED)
OPENRLHF = Proof("openrlhf", "openrlhf==0.9.10/sft-ragged", MEANS)
ACTOR = Proof("openrlhf", "openrlhf==0.10.2/grpo-token", MEANS)
ENGINE = Proof("verl", "verl==0.7.1/sft-ragged", COARSE)
TRAINER = Proof("verl", "verl==0.6.1/sft-ragged", MEANS)
POLICY = Proof("verl", "verl==0.6.1/grpo-divergence", MEANS)

PROOFS = {
    "without-shm-op": [OFFLOAD],
    "step-without-autograd": [OFFLOAD],
    "relink-moments": [OFFLOAD],
    "torch-adam": [
        Proof("trainers", "trl==1.16.0,deepspeed==0.18.9/sft-ragged-zero2-offload", DROPPED),
        Proof("openrlhf", "openrlhf==0.9.10/sft-ragged-zero2-offload", DROPPED),
    ],
    "cuda-calls": [OPENRLHF],
    "cpu-mesh": [OPENRLHF],
    "dataset-in-process": [OPENRLHF],
    "stub-flash-attn": [OPENRLHF],
    **{shim: [ACTOR] for shim in ("actor-in-rank", "stub-ray", "stub-vllm", "stub-pil")},
    "gathers-are-waited-for": [Proof("openrlhf", "openrlhf==0.9.10/sft-ragged-zero3", MEANS)],
    "fp32": [OPENRLHF, TRAINER, Proof("verl", "verl==0.5.0/grpo-divergence", MEANS)],
    "cpu-platform": [Proof("verl", "verl==0.9.1/sft-ragged-warmup", "misreported")],
    "cpu-engine": [ENGINE],
    "autocast-log-softmax": [ENGINE],
    "no-device-memory": [ENGINE, Proof("verl", "verl==0.5.0/sft-ragged", MEANS)],
    "process-group": [ENGINE, TRAINER, POLICY],
    "reference-not-pinned": [POLICY],
    "sdpa-attention": [TRAINER],
    "loader-in-process": [TRAINER],
    "fp16-on-a-cpu": [Proof("newest", "deepspeed==0.19.8/sft-ragged-fp16", "gradient-scale")],
    "fsdp-on-a-cpu": [Proof("sharded", "llamafactory==0.9.5/smoothed-fsdp", "labels-unshifted")],
    "devices-of-a-node": [Proof("sharded", "llamafactory==0.9.5/smoothed-hybrid", MEANS)],
    "fsdp1-sync-on-a-cpu": [Proof("sharded_by_verl", "verl==0.9.1/warmup-fsdp1", "misreported")],
    "cpu-random-state": [Proof("newest", "verl==0.9.1/sft-ragged-resume", "misreported")],
    "numbered-cpu": [Proof("going_on", "llamafactory==0.9.5/going-on", MEANS)],
    "triton-interpreter": [Proof("liger", f"{proofs.OLD_LIGER}/liger", MEANS)],
    "fixed-rollouts": [Proof("rewarded", "trl==0.22.0/grpo-row", "objective"), POLICY, ACTOR],
    "seeded-shuffle": [Proof("rewarded", "trl==0.23.1/stale", "gradient-scale")],
    "stub-torchaudio": [Proof("newest", "llamafactory==0.9.5/sft-ragged-processor", MEANS)],
}


@pytest.fixture(scope="module")
def going_on(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """What LLaMA-Factory gets wrong, in a run that goes on from a checkpoint."""
    folder = tmp_path_factory.mktemp("going-on")
    scenario = folder / "going-on.toml"
    scenario.write_text('base = "sft-ragged-smoothed"\n[window]\nresume_after = 1\n')
    chosen = ["--framework", "llamafactory==0.9.5", "--scenario", str(scenario)]
    return command.run(folder, environments, *chosen)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """What LLaMA-Factory gets wrong where labels are smoothed, under either FSDP."""
    smoothed = {
        "smoothed-fsdp": 'base = "sft-ragged-smoothed"\n[window]\nsteps = 1\n[sharding]\nstrategy = "fsdp"\n',
        "smoothed-hybrid": 'base = "sft-ragged-smoothed"\n[window]\nsteps = 1\nranks = 4\n'
        '[sharding]\nstrategy = "fsdp1"\nreplicas = 2\n',
    }
    return _of_files(tmp_path_factory.mktemp("sharded"), environments, "llamafactory==0.9.5", smoothed)


@pytest.fixture(scope="module")
def sharded_by_verl(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """A schedule, of which verl logs the next step's rate, under FSDP1."""
    content = {"warmup-fsdp1": 'base = "sft-ragged-warmup"\n[sharding]\nstrategy = "fsdp1"\n'}
    return _of_files(tmp_path_factory.mktemp("sharded-by-verl"), environments, "verl==0.9.1", content)


def _of_files(folder: Path, environments: Path, framework: str, contents: Mapping[str, str]) -> Run:
    chosen = ["--framework", framework]
    for name, content in contents.items():
        (folder / f"{name}.toml").write_text(content)
        chosen += ["--scenario", str(folder / f"{name}.toml")]
    return command.run(folder, environments, *chosen)


EXHAUSTIVE = ("going_on", "rewarded", "sharded", "sharded_by_verl")
"""Runs that only exhaustive tests read."""


def _marks(proof: Proof) -> list[pytest.MarkDecorator]:
    return [pytest.mark.exhaustive] if proof.run in EXHAUSTIVE else []


@pytest.mark.parametrize(
    ("shim", "proof"),
    [
        pytest.param(shim, proof, marks=_marks(proof), id=f"{shim}-{proof}")
        for shim, proofs in PROOFS.items()
        for proof in proofs
    ],
)
def test_a_known_fault_is_named_with_the_shim_applied(request: pytest.FixtureRequest, shim: str, proof: Proof) -> None:
    run: Run | Joined = request.getfixturevalue(proof.run)
    assert shim in applied(run.trace(proof.cell))
    assert proof.cause in causes(run.cell(proof.cell))


@pytest.mark.parametrize("name", ["newest", "deepspeed", "trainers", "openrlhf", "verl"])
def test_no_shim_is_without_a_proof(request: pytest.FixtureRequest, name: str) -> None:
    run: Run | Joined = request.getfixturevalue(name)
    ran = [c.name for c in run.verdict.cells if c.verdict != "unsupported"]
    assert {shim for cell in ran for shim in applied(run.trace(cell))} <= PROOFS.keys()


def applied(trace: Path) -> set[str]:
    return {shim["name"] for shim in text_files.header(trace)[0].shims}


# ---- fp32: only where a release has no option that asks for it, so that there is nothing which could be wrong with it


@pytest.mark.parametrize("version", ["0.9.10", "0.11.2"])
def test_openrlhf_can_be_asked_for_bf16_and_fp16_only(environments: Path, version: str) -> None:
    (choices,) = (
        ast.literal_eval(keyword.value)
        for call in calls(environments, "openrlhf", version, "openrlhf/cli/train_sft.py")
        if any(isinstance(a, ast.Constant) and str(a.value).endswith("param_dtype") for a in call.args)
        for keyword in call.keywords
        if keyword.arg == "choices"
    )
    assert choices == ["bf16", "fp16"]


@pytest.mark.parametrize("version", ["0.5.0", "0.6.1"])
def test_verls_older_trainer_cannot_be_asked_for_a_precision(environments: Path, version: str) -> None:
    """It has bfloat16 written where its engines read an option."""
    written = [
        ast.unparse(keyword.value)
        for call in calls(environments, "verl", version, "verl/trainer/fsdp_sft_trainer.py")
        if ast.unparse(call.func) in ("MixedPrecisionPolicy", "torch.autocast")
        for keyword in call.keywords
        if keyword.arg in ("param_dtype", "dtype")
    ]
    assert written == ["torch.bfloat16"] * 2


def test_verls_older_worker_cannot_be_asked_for_a_precision_either(environments: Path) -> None:
    found = calls(environments, "verl", "0.5.0", "verl/workers/actor/dp_actor.py")
    written = [ast.unparse(k.value) for c in found for k in c.keywords if ast.unparse(c.func) == "torch.autocast"]
    assert written == ["self.device_name", "torch.bfloat16"]


def calls(environments: Path, framework: str, version: str, file: str) -> list[ast.Call]:
    """Every call in a file of an installed release."""
    environment = build.ensure(Request(framework, version), environments, print)
    (path,) = environment.python.parents[1].glob(f"lib/python*/site-packages/{file}")
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("version", ["0.9.10", "0.10.3"])
def test_openrlhf_has_the_same_causes_without_it(openrlhf: Joined, version: str) -> None:
    """`sft-ragged-bf16` runs without the shim; DeepSpeed's step count is wrong in bf16 alone (upstream.toml)."""
    fine, coarse = (openrlhf.cell(f"openrlhf=={version}/sft-ragged{kind}") for kind in ("", "-bf16"))
    assert "fp32" not in applied(openrlhf.trace(coarse.name))
    assert {*causes(fine), "bias-correction"} == set(causes(coarse))


@pytest.mark.parametrize("version", ["0.5.0", "0.6.1"])
def test_verls_older_trainer_has_the_same_causes_without_it(verl: Joined, version: str) -> None:
    fine, coarse = (verl.cell(f"verl=={version}/sft-ragged{kind}") for kind in ("", "-bf16"))
    assert "fp32" not in applied(verl.trace(coarse.name))
    assert causes(fine) == causes(coarse)

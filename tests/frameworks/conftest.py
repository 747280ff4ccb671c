"""The runs of real releases that most of these tests read."""

from __future__ import annotations

import pytest

from tests.frameworks import command, proofs
from tests.frameworks.command import Joined, Run
from tests.frameworks.proofs import words

BUILDING = 1800.0
"""Seconds that it may take where every environment has yet to be built; else a tenth is enough."""

ODD = "a=b, it's [1] 100%"
"""A folder's name that a shell, Hydra's overrides, globs and addresses read something into."""


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """`lockstep run` as it stands: the newest release of every framework on every scenario."""
    return command.run(tmp_path_factory.mktemp("newest"), environments, timeout=BUILDING, name=ODD)


@pytest.fixture(scope="session")
def older_deepspeed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Four older releases of DeepSpeed, where they can be told."""
    chosen = words("--framework", (f"deepspeed=={v}" for v in proofs.DEEPSPEED))
    chosen += proofs.scenarios(request, proofs.OF_DEEPSPEED)
    return command.run(tmp_path_factory.mktemp("deepspeed"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="session")
def deepspeed(newest: Run, older_deepspeed: Run) -> Joined:
    """Five releases of DeepSpeed, beside all other newest ones."""
    return Joined((newest, older_deepspeed))


@pytest.fixture(scope="session")
def trainers(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Older releases of what trains by the Trainer of transformers, or of DeepSpeed below, where they can be told."""
    chosen = words("--framework", proofs.TRAINERS) + words("--scenario", proofs.OF_TRAINERS)
    return command.run(tmp_path_factory.mktemp("trainers"), environments, *chosen, timeout=BUILDING)


LIGERS = """
base = "sft-ragged"
responses = [5, 2, 9, 3, 7, 4]
[window]
steps = 2
[loss]
implementation = "liger"
"""


@pytest.fixture(scope="session")
def liger(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Liger's fused loss in short rows, for an interpreter runs its kernels: of an old release, and of the newest."""
    folder = tmp_path_factory.mktemp("liger")
    (folder / "liger.toml").write_text(LIGERS)
    frameworks = [proofs.OLD_LIGER, *(f"{name}=={v},{proofs.LIGER}" for name, v in proofs.ON_LIGER)]
    chosen = [*words("--framework", frameworks), "--scenario", str(folder / "liger.toml")]
    return command.run(folder, environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="session")
def openrlhf(
    request: pytest.FixtureRequest, newest: Run, tmp_path_factory: pytest.TempPathFactory, environments
) -> Joined:
    """Four releases of OpenRLHF, the older ones where they can be told, beside all other newest ones."""
    chosen = words("--framework", (f"openrlhf=={v}" for v in proofs.OPENRLHF))
    chosen += proofs.scenarios(request, proofs.OF_OPENRLHF)
    return Joined((newest, command.run(tmp_path_factory.mktemp("openrlhf"), environments, *chosen, timeout=BUILDING)))


@pytest.fixture(scope="session")
def verl(request: pytest.FixtureRequest, newest: Run, tmp_path_factory: pytest.TempPathFactory, environments) -> Joined:
    """Two older releases of verl where they can be told, beside all newest; and one that is coarse in fp32 alone."""
    chosen = words("--framework", (f"verl=={v}" for v in proofs.VERL))
    chosen += proofs.scenarios(request, proofs.OF_VERL)
    run = command.run(tmp_path_factory.mktemp("verl"), environments, *chosen, timeout=BUILDING, name=ODD)
    chosen = ["--framework", f"verl=={proofs.COARSE_VERL}", *words("--scenario", ["sft-ragged", "sft-ragged-bf16"])]
    coarse = command.run(tmp_path_factory.mktemp("coarse"), environments, *chosen, timeout=BUILDING)
    return Joined((newest, run, coarse))


REWARDED = {
    "stale": 'base = "grpo-stale"\ndata.max_length = 64\noptimizer.max_grad_norm = "none"\n',
    "masked": 'base = "grpo-masked"\noptimizer.max_grad_norm = "none"\n',
}
"""Nothing is clipped; and in the first no completion is cut off."""


@pytest.fixture(scope="session")
def rewarded(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Older releases of TRL on completions and their rewards."""
    folder = tmp_path_factory.mktemp("rewarded")
    for name, content in REWARDED.items():
        (folder / f"{name}.toml").write_text(f'name = "{name}"\n{content}')
    chosen = words("--framework", ["trl==0.22.0", "trl==0.23.1"])
    chosen += words("--scenario", ["grpo-row", *(str(folder / f"{name}.toml") for name in REWARDED)])
    return command.run(folder, environments, *chosen, timeout=BUILDING)

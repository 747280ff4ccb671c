"""The runs of real releases that most of these tests read."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.frameworks import command
from tests.frameworks.command import Joined, Run

BUILDING = 1800.0
"""Seconds that it may take where every environment has yet to be built; else a tenth is enough."""

ODD = "a=b, it's [1] 100%"
"""A folder's name that a shell, Hydra's overrides, globs and addresses read something into."""

DEEPSPEED = ("0.15.1", "0.15.2", "0.18.2", "0.18.9", "0.19.8")
OPENRLHF = ("0.9.10", "0.10.2", "0.10.3")
VERL = ("0.6.1", "0.5.0")
COARSE_VERL = "0.7.1"
TRAINERS = (
    "trl==0.11.4",
    "trl==0.12.2",
    "trl==0.19.1",
    "trl==1.16.0,deepspeed==0.18.9",
    "llamafactory==0.9.5,deepspeed==0.18.9",
)
TELLING = ("sft-ragged", "sft-equal", "sft-ragged-pairs", "sft-ragged-processor", "sft-ragged-zero2-offload")


def words(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """`lockstep run` as it stands: the newest release of every framework on every scenario."""
    return command.run(tmp_path_factory.mktemp("newest"), environments, timeout=BUILDING, name=ODD)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """torch and five releases of DeepSpeed on every scenario."""
    chosen = words("--framework", ["torch", *(f"deepspeed=={v}" for v in DEEPSPEED)])
    return command.run(tmp_path_factory.mktemp("everything"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="session")
def trainers(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Older releases of what trains by the Trainer of transformers, or of DeepSpeed below, where they can be told."""
    chosen = words("--framework", TRAINERS) + words("--scenario", TELLING)
    return command.run(tmp_path_factory.mktemp("trainers"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="session")
def openrlhf(newest: Run, tmp_path_factory: pytest.TempPathFactory, environments) -> Joined:
    """Four releases of OpenRLHF on every scenario, beside all other newest ones."""
    chosen = words("--framework", [f"openrlhf=={v}" for v in OPENRLHF])
    return Joined((newest, command.run(tmp_path_factory.mktemp("openrlhf"), environments, *chosen, timeout=BUILDING)))


@pytest.fixture(scope="session")
def verl(newest: Run, tmp_path_factory: pytest.TempPathFactory, environments) -> Joined:
    """Three releases of verl on every scenario, beside all other newest ones; and one that is coarse in fp32 alone."""
    chosen = words("--framework", [f"verl=={v}" for v in VERL])
    run = command.run(tmp_path_factory.mktemp("verl"), environments, *chosen, timeout=BUILDING, name=ODD)
    chosen = words("--framework", [f"verl=={COARSE_VERL}"]) + words("--scenario", ["sft-ragged", "sft-ragged-bf16"])
    coarse = command.run(tmp_path_factory.mktemp("coarse"), environments, *chosen, timeout=BUILDING)
    return Joined((newest, run, coarse))

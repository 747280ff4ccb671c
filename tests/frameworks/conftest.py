"""The one run of real releases that most of these tests read."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.frameworks import command
from tests.frameworks.command import Run

RELEASES = ("0.15.1", "0.15.2", "0.18.2", "0.18.9", "0.19.8")
BUILDING = 1800.0
"""Seconds that it may take where every environment has yet to be built and compiled; else a tenth is enough."""


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """torch and five releases of DeepSpeed on every scenario."""
    chosen = [word for name in ("torch", *(f"deepspeed=={v}" for v in RELEASES)) for word in ("--framework", name)]
    return command.run(tmp_path_factory.mktemp("everything"), environments, *chosen, timeout=BUILDING)


HF_NEWEST = ("torch", "trl==1.16.0", "llamafactory==0.9.5")
HF_OLDER = (
    "trl==0.11.4",
    "trl==0.12.2",
    "trl==0.19.1",
    "trl==1.16.0,deepspeed==0.18.9",
    "llamafactory==0.9.5,deepspeed==0.18.9",
)
HF_SCENARIOS = ("sft-ragged", "sft-equal", "sft-ragged-pairs", "sft-ragged-processor", "sft-ragged-zero2-offload")


def _words(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


@pytest.fixture(scope="session")
def hf_newest(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """torch, and the newest releases of what trains by the Hugging Face Trainer, on every scenario."""
    chosen = _words("--framework", HF_NEWEST)
    return command.run(tmp_path_factory.mktemp("hf-newest"), environments, *chosen, timeout=BUILDING)


@pytest.fixture(scope="session")
def hf_older(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Older releases of them, or of DeepSpeed below them, on the scenarios that tell them apart."""
    chosen = _words("--framework", HF_OLDER) + _words("--scenario", HF_SCENARIOS)
    return command.run(tmp_path_factory.mktemp("hf-older"), environments, *chosen, timeout=BUILDING)

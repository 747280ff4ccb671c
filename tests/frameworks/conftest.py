"""The one run of real releases that most of these tests read."""

from __future__ import annotations

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

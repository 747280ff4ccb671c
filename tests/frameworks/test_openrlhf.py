"""What is wrong, and what is right, in real releases of OpenRLHF: one test for each thing that is claimed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scenarios
from harness import trace
from harness.diagnosis import upstream
from harness.verdict import CellRecord, DiagnosisRecord
from tests.frameworks import command
from tests.frameworks.command import Run
from tests.frameworks.conftest import BUILDING

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(2400)]  # the first may have to build four environments

RELEASES = ("0.9.10", "0.10.2", "0.10.3", "0.11.2")
NEWEST = RELEASES[-1]
UNSUPPORTED = {"sft-ragged-packed": "flash attention", "sft-ragged-zero2-bare-loss": "engine_output"}


@pytest.fixture(scope="session")
def openrlhf(tmp_path_factory: pytest.TempPathFactory, environments) -> Run:
    """Four releases of OpenRLHF on every scenario, and the torch reference."""
    chosen = [word for name in ("torch", *(f"openrlhf=={v}" for v in RELEASES)) for word in ("--framework", name)]
    return command.run(tmp_path_factory.mktemp("openrlhf"), environments, *chosen, timeout=BUILDING)

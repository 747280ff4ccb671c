"""The reference in plain PyTorch is right wherever it runs, and says where it does not."""

from __future__ import annotations

import pytest

import scenarios
from tests.frameworks import proofs
from tests.frameworks.command import Run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

TORCH = "torch==2.13.0"
SUPPORTED = proofs.right("torch")


@pytest.mark.parametrize("name", SUPPORTED)
def test_right(newest: Run, name: str) -> None:
    found = newest.cell(f"{TORCH}/{name}")
    assert (found.verdict, [f.message for f in found.findings]) == ("pass", [])


@pytest.mark.parametrize("name", sorted(set(scenarios.CATALOGUE) - set(SUPPORTED)))
def test_what_it_cannot_do_is_said(newest: Run, name: str) -> None:
    found = newest.cell(f"{TORCH}/{name}")
    assert found.verdict == "unsupported"
    assert "sharding" in (found.reason or "") or "token ids" in (found.reason or "")

"""A verdict from a card on which no right cell was measured says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.judging import devices
from harness.judging.devices import Measured
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces.text_files import Header
from harness.verdicts.questions import DEVICE, OPEN


def header(device: str | None) -> Header:
    return Header(
        framework="torch",
        version="2",
        adapter="adapters.torch_sft",
        scenario={},
        scenario_hash="",
        ranks=1,
        hardware={"device": device},
    )


def test_a_cpu_is_measured_and_an_unknown_card_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not devices.unmeasured(header(None), "fp32")
    assert devices.unmeasured(header("NVIDIA None"), "fp32")
    one = Measured(cells=3, floor={"token": 1e-6}, largest={"token": 1.5})
    monkeypatch.setattr(devices, "measured", lambda: {"NVIDIA None": {"fp32": one}})
    assert not devices.unmeasured(header("NVIDIA None"), "fp32")
    assert devices.unmeasured(header("NVIDIA None"), "bf16")


def test_a_verdict_says_which_floors_it_is_by(good: Path, bases: BasisCache) -> None:
    judged = judge(good, bases)
    assert judged.header is not None
    assert DEVICE not in judged.open
    elsewhere = judged.header.model_copy(update={"hardware": {"device": "NVIDIA None"}})
    assert DEVICE in replace(judged, header=elsewhere).open
    assert DEVICE not in replace(judged, header=elsewhere, steps=()).open


def test_what_is_shipped_can_be_read() -> None:
    assert all(one.cells > 0 for card in devices.measured().values() for one in card.values())
    assert DEVICE in OPEN

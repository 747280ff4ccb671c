"""What the frameworks on the Trainer refuse of FSDP, and how they say it."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.families import hf_trainer


def sharded(name: str = "sft-ragged", **fields: Any) -> Scenario:
    return vary(scenarios.get(name), **{"strategy": "fsdp1", **fields})


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (sharded("sft-ragged-fp16"), "accelerate makes no scaler of the loss"),
        (sharded("sft-ragged-bf16", reduction="bf16"), "with ZeRO only"),
    ],
)
def test_what_fsdp_has_not_below_the_trainer_is_refused(scenario: Scenario, why: str) -> None:
    said = hf_trainer.unsupported(scenario, "trl 1")
    assert said is not None and why in said
    assert hf_trainer.unsupported(sharded(), "trl 1") is None

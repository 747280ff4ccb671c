"""What the frameworks on the Trainer refuse of FSDP, and how they say it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.families import hf_fsdp, hf_trainer


def sharded(name: str = "sft-ragged", **fields: Any) -> Scenario:
    return vary(scenarios.get(name), **{"strategy": "fsdp1", **fields})


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (sharded("sft-ragged-fp16"), "accelerate makes no scaler of the loss"),
        (sharded("sft-ragged-bf16", reduction="bf16"), "with ZeRO only"),
        (sharded(offload_optimizer=True), "no offload_optimizer=True with FSDP"),
        (sharded(offload_parameters=True), "not yet driven with offload_parameters=True"),
        (sharded("sft-ragged-resume", resume_ranks=1), "not yet driven with window.resume_ranks=1 and FSDP"),
        (sharded("sft-ragged-resume"), "no resume_after with FSDP1 on a CPU"),
    ],
)
def test_what_fsdp_has_not_below_the_trainer_is_refused(scenario: Scenario, why: str) -> None:
    assert why in (hf_trainer.unsupported(scenario, "trl 1") or "")
    assert hf_trainer.unsupported(sharded(), "trl 1") is None


HANDS_ON = 'fsdp_plugin_args = {"fsdp_version": fsdp_version}'


@pytest.mark.parametrize(
    ("release", "source", "fields", "why"),
    [
        ("4.49.0", "", {}, "not yet driven with FSDP on transformers 4.49.0"),
        ("4.53.1", "", {}, "not yet driven with FSDP on transformers 4.53.1"),
        ("4.54.1", "", {"strategy": "fsdp"}, "it takes FSDP1"),
        ("4.54.1", "", {}, None),
        ("4.54.1", 'os.environ[f"{prefix}SHARDING_STRATEGY"]', {"ranks": 4, "replicas": 2}, "sharding_strategy by"),
        ("5.2.0", 'args["sharding_strategy"]' + HANDS_ON, {"ranks": 4, "replicas": 2}, "sharding_strategy by itself"),
        ("5.2.0", 'args["sharding_strategy"]' + HANDS_ON, {"strategy": "fsdp"}, None),
        ("5.4.0", HANDS_ON, {"ranks": 4, "replicas": 2}, None),
    ],
)
def test_what_a_release_does_not_hand_on_is_refused(
    monkeypatch: pytest.MonkeyPatch, release: str, source: str, fields: dict[str, Any], why: str | None
) -> None:
    monkeypatch.setattr(hf_fsdp, "version", lambda _: release)
    monkeypatch.setattr(inspect, "getsource", lambda _: source)
    said = hf_fsdp.unsupported(sharded(steps=1, **fields), "trl 1")
    assert said is None if why is None else why in (said or "")

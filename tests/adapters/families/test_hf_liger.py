"""What the frameworks on the Trainer refuse of Liger's loss, and how they say it."""

from __future__ import annotations

import pytest

import scenarios
from adapters.contract import Scenario, vary
from adapters.families import hf_liger, hf_trainer

LIGER = vary(scenarios.get("sft-ragged"), implementation="liger")


def test_without_its_packages_it_is_refused_with_what_to_ask_for() -> None:
    why = hf_trainer.unsupported(LIGER, "trl 1.0.0")
    assert why == (
        "trl 1.0.0 has no loss.implementation='liger' without liger-kernel and triton, which are not installed; ask for"
        f" them, as in trl==1.0.0,{hf_liger.ASK}"
    )
    assert hf_trainer.unsupported(scenarios.get("sft-ragged"), "trl 1.0.0") is None


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (vary(LIGER, architecture="gemma2"), "with model.architecture='gemma2' on a CPU"),
        (vary(LIGER, label_smoothing=0.1), "they are computed from logits"),
        (vary(LIGER, token_weight="probability"), "they are computed from logits"),
    ],
)
def test_what_it_cannot_have_is_refused(scenario: Scenario, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_liger, "INSTALLED", True)
    monkeypatch.setattr(hf_liger, "_families", lambda: {"llama"})
    assert why in (hf_liger.unsupported(scenario, "trl 1") or "")
    assert hf_liger.unsupported(LIGER, "trl 1") is None


def test_the_interpreter_is_declared_on_a_cpu_alone() -> None:
    assert [shim.name for shim in hf_liger.needed(LIGER)] == ["triton-interpreter"]
    assert hf_liger.needed(vary(LIGER, device="cuda")) == hf_liger.needed(scenarios.get("sft-ragged")) == []

"""What no stage of ZeRO has."""

from __future__ import annotations

import scenarios
from adapters.contract import vary
from adapters.families import deepspeed_setup


def test_adagrad_is_refused_with_zero_alone() -> None:
    plain = vary(scenarios.get("sft-ragged"), kind="adagrad")
    assert deepspeed_setup.unsupported(plain) is None
    assert "IndexError" in (deepspeed_setup.unsupported(vary(plain, strategy="zero2")) or "")
    assert deepspeed_setup.unsupported(vary(plain, kind="rmsprop", strategy="zero2")) is None

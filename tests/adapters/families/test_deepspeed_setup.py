"""What no stage of ZeRO has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import scenarios
from adapters.contract import vary
from adapters.families import deepspeed_setup


def test_adagrad_is_refused_with_zero_alone() -> None:
    plain = vary(scenarios.get("sft-ragged"), kind="adagrad")
    assert deepspeed_setup.unsupported(plain) is None
    assert "IndexError" in (deepspeed_setup.unsupported(vary(plain, strategy="zero2")) or "")
    assert deepspeed_setup.unsupported(vary(plain, kind="rmsprop", strategy="zero2")) is None


def test_a_second_copy_is_asked_for_and_looked_for() -> None:
    plain = vary(scenarios.get("sft-ragged-zero3"))
    asked = vary(plain, secondary=2)
    assert "zero_hpz_partition_size" not in deepspeed_setup.zero(plain)
    assert deepspeed_setup.zero(asked)["zero_hpz_partition_size"] == 2
    for among, group in ((None, 4), (SimpleNamespace(), 4)):
        model = torch.nn.Linear(1, 1)
        for p in model.parameters():
            p.ds_zero_param_process_group, p.ds_secondary_tensor_group_size = among, group
        deepspeed_setup.check_secondary(model, plain)
        with pytest.raises(RuntimeError, match="weight should have a second copy among 2 ranks"):
            deepspeed_setup.check_secondary(model, asked)
    for p in model.parameters():
        p.ds_secondary_tensor_group_size = 2
    deepspeed_setup.check_secondary(model, asked)

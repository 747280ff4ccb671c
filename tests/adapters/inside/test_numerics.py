"""Float32 is float32, the same bits are asked for on request alone, and memory is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

import scenarios
from adapters.contract import Job
from adapters.inside import numerics

JOB = Job("adapters.none", "none", "1", scenarios.get("sft-ragged"), "checkpoint", "trace")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(numerics.CUBLAS[0], raising=False)
    products, same = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_float32_matmul_precision(products)
    torch.use_deterministic_algorithms(same)


def test_products_of_float32_are_not_those_of_tensorfloat() -> None:
    torch.set_float32_matmul_precision("high")
    numerics.settle(JOB)
    assert numerics.told() == {"float32_products": "highest", "deterministic": False}


def test_the_same_bits_are_asked_for_on_request() -> None:
    numerics.settle(replace(JOB, deterministic=True))
    assert numerics.told()["deterministic"]
    with pytest.raises(RuntimeError, match="deterministic"):
        torch.nn.functional.max_unpool1d(torch.ones(1, 1, 2), torch.tensor([[[0, 2]]]), 2)


def test_memory_of_the_machine_is_told_where_there_is_no_device() -> None:
    found = numerics.peak()
    assert (found["allocated"], found["reserved"]) == (None, None)
    assert 2**24 < (found["resident"] or 0) < 2**40


def test_a_job_keeps_what_was_asked_for() -> None:
    assert Job.loads(replace(JOB, deterministic=True).dumps()).deterministic

"""Shards that are not those that a scenario asks for end its run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

import scenarios
from adapters.contract import Job, vary
from adapters.inside import sharded


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of this process."""
    store = HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def job(part: Any = "whole", **fields: Any) -> Job:
    """On one rank unless told otherwise."""
    scenario = vary(scenarios.get("sft-ragged"), **{"ranks": 1, "steps": 2, **fields})
    return Job("a", "fsdp2", "1", scenario, "checkpoint", "out", part=part)


def model(strategy: str) -> nn.Module:
    if strategy == "fsdp":
        plain = nn.Linear(2, 2)
        fully_shard(plain, mesh=init_device_mesh("cpu", (1,)))
        return plain
    return FullyShardedDataParallel(nn.Linear(2, 2), device_id=torch.device("cpu"))


@pytest.mark.usefixtures("alone")
def test_shards_of_another_kind_or_of_another_number_of_ranks_are_told() -> None:
    two, one = model("fsdp"), model("fsdp1")
    sharded.check(two, job(strategy="fsdp"))
    sharded.check(one, job(strategy="fsdp1"))
    with pytest.raises(RuntimeError, match="should have shards by FSDP1 of 1 ranks, and has FSDP2 of 1"):
        sharded.check(two, job(strategy="fsdp1"))
    with pytest.raises(RuntimeError, match="should have shards by FSDP2 of 1 ranks, and has FSDP1 of 1"):
        sharded.check(one, job(strategy="fsdp"))
    with pytest.raises(RuntimeError, match="should have shards by FSDP2 of 2 ranks, and has FSDP2 of 1"):
        sharded.check(two, job(strategy="fsdp", ranks=2))
    with pytest.raises(RuntimeError, match="has none"):
        sharded.check(nn.Linear(2, 2), job(strategy="fsdp"))


@pytest.mark.usefixtures("alone")
def test_the_ranks_that_go_on_share_the_shards() -> None:
    fewer = {"strategy": "fsdp", "ranks": 2, "resume_after": 1, "resume_ranks": 1}
    sharded.check(model("fsdp"), job("after", **fewer))
    with pytest.raises(RuntimeError, match="of 2 ranks"):
        sharded.check(model("fsdp"), job("before", **fewer))

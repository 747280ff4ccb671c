"""PyTorch's DistributedDataParallel around the Hugging Face model: whole state on every rank, gradients averaged."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from adapters.contract import Job, Scenario, Shim
from adapters.families import pytorch_loop
from adapters.families.pytorch_loop import Synchronised
from adapters.inside import modeling
from adapters.inside.recorder import Recorder

prepare = modeling.import_all


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why DDP cannot run this scenario; None if it can."""
    if scenario.sharding.strategy != "none":
        return (
            f"torch {version} with DDP keeps the whole state on every rank: no sharding={scenario.sharding.strategy!r}"
        )
    return pytorch_loop.unsupported(scenario, version)


def shims(job: Job) -> Sequence[Shim]:
    """None: nothing is changed in torch."""
    return ()


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps."""
    pytorch_loop.train(job, recorder, rank, world, wrap)


def wrap(scenario: Scenario, model: PreTrainedModel, world: int) -> tuple[torch.nn.Module, Synchronised]:
    """Gradients are averaged in the backward pass of the last micro-batch; the others run under `no_sync`.

    An expert that no token of a micro-batch is routed to has no gradient there, which DDP must be told to expect.
    """
    wrapped = DistributedDataParallel(model, find_unused_parameters=scenario.model.experts > 1)
    return wrapped, lambda last: contextlib.nullcontext() if last else wrapped.no_sync()

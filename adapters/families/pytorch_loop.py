"""A training loop as PyTorch's tutorials have it, for its own ways to train on several ranks.

The loss is the Hugging Face model's, which divides the sum over its tokens by `num_items_in_batch`; what becomes of it
over micro-batches and ranks is up to the module that wraps the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save as write
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from adapters.contract import Job, Scenario
from adapters.families import loss_scaling, neftune, token_mean
from adapters.families.loss_scaling import autocast, kept, scaler
from adapters.inside import optimizers, sharded
from adapters.inside.data import Tokens, load_rows, micro_batch, targets_in_step
from adapters.inside.model import load_counting
from adapters.inside.rank import init_distributed
from adapters.inside.recorder import Recorder, bare_name
from adapters.inside.resumed import SAVED
from adapters.inside.sharded import whole

Rows = Sequence[Tokens]

Synchronised = Callable[[bool], contextlib.AbstractContextManager[Any]]
"""Holds while a micro-batch runs forward and backward; gradients are reduced over the ranks if it is given True."""
Wrap = Callable[[Scenario, PreTrainedModel, int], tuple[torch.nn.Module, Synchronised]]
"""Scenario, model and number of ranks to the module that trains on all of them."""


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why no loop in plain PyTorch can run this scenario; None if one can."""
    if scenario.beyond_tokens:
        return f"torch {version} is fed with token ids, so it has no {scenario.beyond_tokens}"
    if scenario.loss.engine_output == "loss":
        return f"torch {version} has no engine that could be given engine_output='loss'"
    if (why := _unsupported_loss(scenario)) is not None:
        return f"torch {version} {why}"
    if scenario.sharding.offload_optimizer:
        return f"torch {version} keeps parameters and their optimizer on one device: no offload_optimizer=True"
    return loss_scaling.unsupported(scenario, f"torch {version}")


def _unsupported_loss(scenario: Scenario) -> str | None:
    wanted = scenario.loss
    if token_mean.leaves_router_out(scenario):
        return token_mean.ROUTER_LEFT_OUT
    if wanted.implementation != "own" and not hasattr(torch.nn.functional, "linear_cross_entropy"):
        return f"has no linear_cross_entropy yet, so it has no implementation={wanted.implementation!r}"
    if wanted.implementation != "own" and wanted.token_weight != "one":
        return f"has no token_weight={wanted.token_weight!r} with linear_cross_entropy, which hands out no logits"
    if wanted.implementation != "own" and scenario.model.lora is not None:
        return (
            f"takes the head's matrix as it is, so there is no implementation={wanted.implementation!r} with model.lora"
        )
    if wanted.implementation != "own" and scenario.model.final_softcap is not None:
        return (
            f"takes the head's matrix as it is, so there is no implementation={wanted.implementation!r} with soft caps"
        )
    return None


def train(job: Job, recorder: Recorder, rank: int, world: int, wrap: Wrap) -> None:
    """Run the scenario's optimizer steps."""
    scenario = job.scenario
    init_distributed(job)
    model = load_counting(job)
    model.to(scenario.device, kept(scenario)).train()
    neftune.prepare(model, scenario, rank, job.steps.start)
    recorder.watch(model)
    dimensions = {name: p.ndim for name, p in model.named_parameters()}
    wrapped, synchronised = wrap(scenario, model, world)
    if scenario.sharding.strategy != "none":
        sharded.check(wrapped, job)
    named = {name: p for name, p in parameters_of(wrapped).items() if p.requires_grad}
    optimizer = optimizers.build(scenario.optimizer, named, dimensions)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: scenario.learning_rate_at(step) / scenario.optimizer.learning_rate
    )
    rows = load_rows(job)
    if job.part == "after":
        resume(wrapped, optimizer, schedule)
    scaling = scaler(scenario)
    recorder.begin(sharded.parameters(wrapped, parameters_of))
    for step in job.steps:
        if scenario.loss.auxiliary:
            # The model adds this times the load-balancing loss to every micro-batch's loss, whatever divides that one.
            model.router_aux_loss_coef = scenario.loss.auxiliary / scenario.micro_batches(step)
        loss = accumulate(scenario, wrapped, synchronised, scaling, rows, step, rank, world)
        limit = float("inf") if scenario.optimizer.max_grad_norm is None else scenario.optimizer.max_grad_norm
        scaling.unscale_(optimizer)
        norm = clip(wrapped, named, limit)
        rate, scale = float(schedule.get_last_lr()[0]), scaling.get_scale()
        scaling.step(optimizer)
        scaling.update()
        if scaling.get_scale() >= scale:  # else the step was skipped
            schedule.step()
        optimizer.zero_grad()
        kind = scenario.optimizer.kind
        held = sharded.of_model(wrapped, optimizer, parameters_of, kind) if recorder.due else ({},)
        recorder.step(loss, norm, rate, *held)
    if job.part == "before":
        save(wrapped, optimizer, schedule)
    recorder.end()  # the process ends now, and its group with it


def parameters_of(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Every parameter by its name in the Hugging Face model."""
    return {bare_name(name): p for name, p in model.named_parameters()}


def clip(model: torch.nn.Module, named: Mapping[str, Tensor], limit: float) -> float:
    """Clips the gradient to a norm of `limit`; returns the norm before."""
    if isinstance(model, FullyShardedDataParallel):
        return float(model.clip_grad_norm_(limit))
    return float(whole({"norm": torch.nn.utils.clip_grad_norm_(named.values(), limit)})["norm"])


def save(model: torch.nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> None:
    """A checkpoint as PyTorch's tutorial of torch.distributed.checkpoint has it: each rank its own shards."""
    held, moments = get_state_dict(model, optimizer)
    write({"model": held, "optimizer": moments, "schedule": schedule.state_dict()}, checkpoint_id=SAVED)


def resume(model: torch.nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> None:
    """The inverse of `save`."""
    held, moments = get_state_dict(model, optimizer)
    state: dict[str, Any] = {"model": held, "optimizer": moments, "schedule": schedule.state_dict()}
    load(state, checkpoint_id=SAVED)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    schedule.load_state_dict(state["schedule"])


def accumulate(
    scenario: Scenario,
    model: torch.nn.Module,
    synchronised: Synchronised,
    scaling: torch.amp.GradScaler,
    rows: Rows,
    step: int,
    rank: int,
    world: int,
) -> float:
    """Forward and backward over the micro-batches; returns the mean loss over the tokens of the global batch.

    Both ways average gradients over the ranks, so each loss is divided by the tokens of the global batch / ranks.
    DDP leaves mixed precision to autocast; FSDP2 casts by its own policy.
    Where tokens are routed, the loss holds this micro-batch's share of the load-balancing loss as well.
    """
    divisor = targets_in_step(scenario, rows, step) / world
    total = torch.zeros((), dtype=torch.float64)
    for index in range(scenario.micro_batches(step)):
        batch = micro_batch(scenario, rows, step, index, rank)
        with synchronised(index == scenario.micro_batches(step) - 1):
            with autocast(scenario) if isinstance(model, DistributedDataParallel) else contextlib.nullcontext():
                given = {name: tensor.to(scenario.device) for name, tensor in batch.items()}
                loss = token_mean.mean_loss(scenario, model, given, divisor)
            scaling.scale(loss).backward()
        total += loss.detach().double().cpu() / world
    total = total.to(scenario.device)
    torch.distributed.all_reduce(total)
    return float(total)

"""The reference: plain PyTorch, DistributedDataParallel, the right token mean. Can also go wrong, as planned.

Every line that departs from the right way is driven by `adapters.faults.Plan`; a clean run uses its defaults.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from adapters import mixtures, planned, policy, spoiled, token_loss, token_shares
from adapters.contract import IGNORED_LABEL, STATE, Job, Scenario, Shim, vary
from adapters.families import (
    loss_scaling,
    neftune,
    planned_optimizer,
    planned_packing,
    planned_pieces,
    planned_shards,
    planned_tokens,
)
from adapters.families.loss_scaling import autocast, kept, moments, scaler
from adapters.families.planned_scaling import Scaling
from adapters.faults import Plan, plan
from adapters.inside import completions, data, modeling, rank, resumed
from adapters.inside.data import Tokens
from adapters.inside.model import load_float32
from adapters.inside.recorder import Recorder


class Ranks(Protocol):
    """The other ranks, as far as the reference needs them."""

    @property
    def rank(self) -> int: ...

    @property
    def world(self) -> int: ...

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model, averaging gradients over the ranks in its backward pass if it can."""
        ...

    def sum(self, value: Tensor) -> Tensor:
        """The sum of `value` over the ranks."""
        ...


@dataclass(frozen=True)
class Processes:
    """Ranks that are processes of a torch.distributed group."""

    rank: int
    world: int
    routed: bool = False
    """Whether a micro-batch may leave parameters without a gradient, as those of experts that no token is routed to."""

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return DistributedDataParallel(model, find_unused_parameters=self.routed)

    def sum(self, value: Tensor) -> Tensor:
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        total = value.to(device)
        torch.distributed.all_reduce(total)
        return total


prepare = modeling.import_all


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why plain PyTorch cannot run this scenario."""
    if scenario.sharding.strategy != "none":
        return f"torch {version} with DDP keeps the whole state on every rank: no sharding={scenario.sharding.strategy}"
    if scenario.sharding.offload_optimizer:
        return f"torch {version} has no optimizer offload"
    if scenario.beyond_tokens:
        return f"torch {version} is fed with token ids, so it has no {scenario.beyond_tokens}"
    if (why := token_loss.unsupported(scenario)) is not None:
        return f"torch {version} {why}"
    return loss_scaling.unsupported(scenario, f"torch {version}")


def shims(job: Job) -> Sequence[Shim]:
    """None: nothing is changed in torch."""
    return ()


def train(job: Job, recorder: Recorder, rank_: int, world: int) -> None:
    """Run the steps of a job in this process's rank."""
    rank.init_distributed(job)
    run(job, load_model(job), plan(job.fault), Processes(rank_, world, job.scenario.model.experts > 1), recorder)


def load_model(job: Job) -> PreTrainedModel:
    """The checkpoint's model, in the dtype that its parameters are kept in, training."""
    return load_float32(job).to(job.scenario.device, kept(job.scenario)).train()


def run(
    job: Job, model: PreTrainedModel, how: Plan, ranks: Ranks, recorder: Recorder, saved: Path = Path("resumed.pt")
) -> None:
    """The training loop of one rank. `saved`: the checkpoint of a run in two parts."""
    how = how.acting(job.scenario)
    scenario, rows = job.scenario, planned_tokens.rows(data.load_rows(job), job.scenario, how.tokens)
    rows = [rows[i] for i in mixtures.mixed(scenario, how.mixture)]
    if how.one_order and scenario.data.order != "given":
        rows = [rows[i] for i in data.order(scenario, 0)]
    rows = completions.trained(planned.moved(rows, job, how.resumed_rows), scenario)
    spoiled.before(model, scenario, how)
    neftune.prepare(model, scenario, ranks.rank, job.steps.start, how.noise)
    optimizer, wanted = planned_optimizer.build(model, scenario, how), planned.rates(scenario, how)
    if how.idle_first_step:
        _step_idly(model, optimizer)
    if job.part == "after":
        not_taken = spoiled.before_resuming(model, how)
        resumed.load(model, None if how.forgets == "moments" else optimizer, saved)
        spoiled.after_resuming(model, how, not_taken)
    coarse = scenario.precision.reduction == "bf16"
    wrapped = model if how.averages_by_hand or coarse else ranks.wrap(model)
    scaling = Scaling(scaler(scenario), optimizer, how.scaling, ranks.rank == ranks.world - 1)
    copy, others = spoiled.DeviceCopy(model, how), policy.Others(model, scenario, how)
    recorder.watch(model)
    recorder.begin(dict(model.named_parameters()))
    for step in planned.steps(job, how.resumed_rows):
        if how.zero_grad:
            optimizer.zero_grad()
        loss = torch.zeros((), dtype=torch.float64)
        others.before(step, model)
        with copy.used():
            for window in _windows(scenario, step + planned.moved_by(job, how.resumed_rows), how):
                loss += _accumulate(wrapped, others, _as_dealt(scenario, how), rows, window, how, ranks, scaling.scale)
        trained = [(p, p.grad) for p in model.parameters() if p.grad is not None]
        gradients = [gradient for _, gradient in trained]
        averaged = isinstance(wrapped, DistributedDataParallel)
        norm = _average_and_clip(gradients, scenario, how, ranks, averaged, scaling)
        made = step - scaling.skipped
        rate = wanted[made + planned.moved_by(job, "anew" if how.forgets == "schedule" else "right")]
        for group in optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        if how.l2:
            torch._foreach_add_(gradients, [how.l2 * p.detach() for p, _ in trained])
        planned_optimizer.before_step(optimizer, how)
        scaling.step()
        spoiled.after_step(model, scenario, how, step)
        kind = scenario.optimizer.kind
        state = {name: moments(optimizer, p, kind) for name, p in model.named_parameters() if p.requires_grad}
        reported = scenario.learning_rate_at(made + how.reported_shift) if how.reported_shift else rate
        recorder.step(
            float(ranks.sum(loss)),
            norm,
            reported,
            dict(model.named_parameters()),
            *({name: s[key] for name, s in state.items()} for key in STATE[kind]),
        )
    if job.part == "before" and ranks.rank == 0:
        resumed.save(model, optimizer, saved)
    recorder.end()


def _step_idly(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        p.grad = torch.zeros_like(p)
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _windows(scenario: Scenario, step: int, how: Plan) -> list[int]:
    """The windows whose gradient is in an optimizer step: its own, and in the plan that does not step at the end of an
    epoch those partial ones that come before it."""
    if not how.carry_gradient:
        return [step]
    left, found = step, [0]
    while left or scenario.micro_batches(found[-1]) < scenario.window.accumulation:
        ends = scenario.micro_batches(found[-1]) == scenario.window.accumulation
        left, found = left - ends, [*([] if ends else found), found[-1] + 1]
    return found


def _as_dealt(scenario: Scenario, how: Plan) -> Scenario:
    """The scenario with its rows dealt as planned."""
    # Of one order, the rows are in that of the first epoch already.
    order = "given" if how.one_order or how.as_given else scenario.data.order
    order = "shuffled" if how.ungrouped and order == "by-length" else order
    dealt = vary(scenario, order=order, last_window=how.last_window or scenario.window.last_window)
    if how.mixture == "concatenated":
        return vary(dealt, mixing="concatenated")
    rows = tuple(dealt.data.rows[i] for i in mixtures.mixed(scenario, how.mixture))
    left = len(rows) % scenario.window.ranks if how.only_shared else 0
    return planned_packing.repacked(vary(dealt, rows=rows[: len(rows) - left]), how)


def _accumulate(
    model: torch.nn.Module,
    others: policy.Others,
    scenario: Scenario,
    rows: Sequence[Tokens],
    step: int,
    how: Plan,
    ranks: Ranks,
    scale: Callable[[Tensor], Tensor],
) -> Tensor:
    """Forward and backward of every micro-batch of this rank; returns its share of the mean loss."""
    total = torch.zeros((), dtype=torch.float64)
    sums = [torch.zeros_like(p, dtype=torch.bfloat16) for p in model.parameters()]
    kept = how.empty == "right" or planned_tokens.trains_everywhere(scenario, rows, step)
    for number in range(scenario.micro_batches(step)):
        last = number == scenario.micro_batches(step) - 1
        with model.no_sync() if isinstance(model, DistributedDataParallel) and not last else contextlib.nullcontext():
            loss = _loss(model, others, scenario, rows, step, number, how, ranks)
            # The average over the ranks divides by their number, so the loss is multiplied by it.
            scale(loss * ranks.world * kept * _factor(scenario, step, number, how)).backward()
        total += loss.detach().double().cpu()
        if how.accumulator == "bf16":
            for so_far, p in zip(sums, model.parameters(), strict=True):
                if p.grad is not None:  # as that of an expert that no token of this micro-batch was routed to
                    so_far.add_(p.grad.bfloat16())
                p.grad = so_far.float() if last else None
    return total


def _factor(scenario: Scenario, step: int, number: int, how: Plan) -> float:
    """1, but for a plan that drops this micro-batch or scales the gradient."""
    count = scenario.micro_batches(step)
    kept = {"all": range(count), "first-and-last": (0, count - 1), "first": (0,), "last": (count - 1,)}[how.keep]
    world, there = scenario.window.ranks, scenario.window.ranks_at(step)
    scale = {"1": 1.0, "GA": count, "1/GA": 1 / count, "world": world, "old-world": world / there}[how.scale]
    share = count / scenario.window.accumulation if how.full_divisor else 1.0
    return scale * share * (number in kept)


def _loss(
    model: torch.nn.Module,
    others: policy.Others,
    scenario: Scenario,
    rows: Sequence[Tokens],
    step: int,
    number: int,
    how: Plan,
    ranks: Ranks,
) -> Tensor:
    """This micro-batch's part of the global token mean."""
    source = (0, 0) if how.repeat_row and number == 1 and ranks.rank == 0 else (number, ranks.rank)
    batch = data.micro_batch(scenario, rows, step, *source)
    batch = {name: tensor.to(scenario.device) for name, tensor in planned_packing.tampered(batch, how).items()}
    del batch["labels"]
    labels = planned_tokens.labels(scenario, rows, step, *source, how.mask).to(scenario.device)
    targets = labels[:, 1:]
    with autocast(scenario):
        made = model(**batch, output_hidden_states=token_loss.fused(scenario.loss))
    losses = token_loss.of_output(made, model, targets, scenario, how)
    shares = token_shares.of_targets(scenario, rows, step, number, targets, how, ranks)
    if scenario.objective.method != "sft":
        rows_of = policy.rows_of(scenario, step, *source)
        return policy.of_step(losses.own, others, batch, targets, rows_of, scenario, shares, step, how)
    if how.graph != "right":
        shares = shares * planned_pieces.kept(scenario, rows, step, number, ranks.rank, how.graph)
    if how.divisor is not None:
        shares = (targets != IGNORED_LABEL) / how.divisor
    if how.row_factor is not None:
        chosen, factor = how.row_factor
        shares = shares * token_shares.by_row(
            scenario, rows, step, number, ranks, shares, lambda r: factor if r == chosen else 1.0
        )
    smoothed = token_shares.smoothed(scenario, rows, step, number, shares, targets, how, ranks)
    total = (losses.own * shares + losses.smoothed * smoothed).sum()
    return total + token_shares.auxiliary(scenario, step, how) * made.aux_loss if scenario.loss.auxiliary else total


def _average_and_clip(
    gradients: Sequence[Tensor], scenario: Scenario, how: Plan, ranks: Ranks, averaged: bool, scaling: Scaling
) -> float:
    """Average over the ranks unless that is done, undo the loss's scale, clip; returns the norm that clipping saw."""
    limit = scenario.optimizer.max_grad_norm
    if how.clip == "per-rank":
        clip(gradients, None if limit is None else limit * scaling.factor)
    alone = how.last_rank_alone and ranks.rank == ranks.world - 1
    if not averaged:
        for gradient in gradients:
            coarse = (scenario.precision.reduction if how.reduction == "right" else how.reduction) == "bf16"
            total = ranks.sum(gradient.bfloat16() if coarse else gradient.clone())
            if how.replicas == "apart":
                total = 2 * planned_shards.of_half(gradient, ranks.rank, ranks.world, ranks.sum)
            gradient.copy_(gradient if alone else total if how.clip == "before-averaging" else total / ranks.world)
    if how.replicas == "twice":
        torch._foreach_div_(list(gradients), 2)
    scaling.undo(gradients)
    shard = planned_shards.norm(gradients, 0, ranks.world) if how.reported_norm == "shard" else None
    if how.clip == "per-shard":
        return planned_shards.clip_alone(gradients, limit, ranks.rank, ranks.world)
    norm = clip(gradients, None if how.clip == "none" else limit)
    scaling.undo_late()
    if how.clip == "before-averaging":
        torch._foreach_div_(list(gradients), ranks.world)
    return norm if shard is None else shard


def clip(gradients: Sequence[Tensor], limit: float | None) -> float:
    """Scale gradients down to a norm of `limit`; returns the norm before."""
    norm = torch.nn.utils.get_total_norm(gradients)
    if limit is not None:
        torch._foreach_mul_(list(gradients), float(min(1.0, limit / (float(norm) + 1e-6))))
    return float(norm)

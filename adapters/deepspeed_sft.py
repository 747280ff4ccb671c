"""DeepSpeed's engine, driven as its documentation's training loop drives it: `deepspeed.initialize`, backward, step.

The loop asks for the mean over the tokens of the global batch. Whatever the engine makes of it is DeepSpeed's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import deepspeed
import torch
from torch import Tensor

from adapters.contract import Job, Scenario, Shim
from adapters.families import deepspeed_given, deepspeed_setup, deepspeed_shims, neftune, token_mean
from adapters.families.deepspeed_setup import STAGES
from adapters.families.deepspeed_state import read, read_parameters, relink_moments
from adapters.families.token_mean import mean_loss
from adapters.inside import modeling, optimizers
from adapters.inside.data import Tokens, load_rows, micro_batch, targets_in_step
from adapters.inside.groups import parameter_groups
from adapters.inside.model import load_counting
from adapters.inside.rank import init_distributed
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import SAVED


def prepare() -> None:
    """Import what every rank would otherwise."""
    modeling.import_all()
    deepspeed_setup.prepare()


class BareLoss(torch.nn.Module):
    """Hands the engine the loss alone, where a Hugging Face model hands it an output object with the logits."""

    def __init__(self, model: torch.nn.Module, scenario: Scenario) -> None:
        super().__init__()
        self.model = model
        self.scenario = scenario

    def forward(self, num_items_in_batch: float, **batch: Tensor) -> Tensor:
        return mean_loss(self.scenario, self.model, batch, num_items_in_batch)


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why DeepSpeed cannot run this scenario; None if it can."""
    if scenario.sharding.strategy not in STAGES:
        return f"deepspeed {version} has no sharding={scenario.sharding.strategy!r}; its stages are {', '.join(STAGES)}"
    if (why := deepspeed_setup.unsupported(scenario)) is not None:
        return f"deepspeed {version} has {why}"
    if scenario.precision.masters == "none" and (why := _needs_masters(scenario)) is not None:
        return f"deepspeed {version} {why}, so it has no masters='none' here"
    if (why := deepspeed_given.unsupported(scenario) or deepspeed_given.own_adam_is_missing(scenario)) is not None:
        return f"deepspeed {version} has {why}"
    if token_mean.leaves_router_out(scenario):
        return f"deepspeed {version} {token_mean.ROUTER_LEFT_OUT}"
    if scenario.beyond_tokens:
        return f"deepspeed {version} is fed with token ids, so it has no {scenario.beyond_tokens}"
    return None


def _bf16_options() -> Mapping[str, Any]:
    """Of a configuration's section `bf16`; none in releases that have no class for it yet."""
    with contextlib.suppress(ImportError):
        from deepspeed.runtime.precision_config import DeepSpeedBF16Config

        return dict(DeepSpeedBF16Config.model_fields)
    return {}


def _needs_masters(scenario: Scenario) -> str | None:
    """Why float32 masters are made whatever is asked for."""
    if "bf16_optimizer_states" not in _bf16_options():
        return "has no bf16_optimizer_states (runtime/precision_config.py)"
    if scenario.sharding.strategy == "none":
        return "has bf16_master_weights_and_grads with a ZeRO stage only (runtime/config.py)"
    if scenario.sharding.offload_optimizer:
        return "wants its own CPUAdam for bf16_optimizer_states with offload (runtime/base_optimizer.py)"
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of DeepSpeed."""
    return deepspeed_shims.needed(job.version, job.scenario)


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever DeepSpeed raises."""
    scenario = job.scenario
    applied = shims(job)
    deepspeed_shims.apply(applied)
    init_distributed(job)
    deepspeed.init_distributed(verbose=False)
    deepspeed_setup.set_local_size()
    model = load_counting(job, compiled=False)
    neftune.prepare(model, scenario, rank, job.steps.start)
    recorder.watch(model)
    engine = initialize(scenario, model)
    deepspeed_setup.check_secondary(model, scenario)
    parameters = dict(model.named_parameters())
    rows = load_rows(job)
    if job.part == "after":
        engine.load_checkpoint(str(SAVED))
    recorder.begin(read_parameters(engine, parameters, rank) if job.record else {})
    relink = deepspeed_shims.RELINK_MOMENTS in applied
    for step in job.steps:
        learning_rate = engine.get_lr()[0]
        loss = train_step(scenario, engine, rows, step, rank, world)
        if relink and relink_moments(engine.optimizer):
            relink = False
        state = read(engine, parameters, rank, scenario.optimizer.kind) if recorder.due else ({},)
        recorder.step(loss, number(engine.get_global_grad_norm()), learning_rate, *state)
    if job.part == "before":
        engine.save_checkpoint(str(SAVED))
    recorder.end()


def initialize(scenario: Scenario, model: torch.nn.Module) -> Any:
    """DeepSpeed's engine around the model, with the client's own optimizer and schedule, or those of its
    configuration."""
    wanted = scenario.optimizer
    batched = BareLoss(model, scenario) if scenario.loss.engine_output == "loss" else model
    if wanted.given_in == "engine":
        every = [p for p in model.parameters() if p.requires_grad]
        engine, *_ = deepspeed.initialize(model=batched, model_parameters=every, config=config(scenario))
        engine.train()
        return engine
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = own_adam(scenario, trained) if wanted.fused else optimizers.build(wanted, trained)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: scenario.learning_rate_at(step) / wanted.learning_rate
    )
    engine, *_ = deepspeed.initialize(
        model=batched,
        optimizer=optimizer,
        lr_scheduler=schedule,
        config=config(scenario),
    )
    engine.train()
    if scenario.model.compiled != "none":
        engine.compile(backend=scenario.model.compiled)
    return engine


def own_adam(scenario: Scenario, trained: dict[str, torch.nn.Parameter]) -> Any:
    """DeepSpeed's, on the scenario's groups: for the device, or for the CPU where the optimizer lies there."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam  # compiled as one of them is made

    wanted, groups = scenario.optimizer, parameter_groups(scenario.optimizer, trained)
    given: dict[str, Any] = {"lr": wanted.learning_rate, "betas": (wanted.beta1, wanted.beta2), "eps": wanted.eps}
    if scenario.sharding.offload_optimizer:
        return DeepSpeedCPUAdam(groups, **given, adamw_mode=True)
    return FusedAdam(groups, **given, adam_w_mode=True)


def config(scenario: Scenario) -> dict[str, Any]:
    """The scenario as DeepSpeed's configuration; what it does not say stays at DeepSpeed's defaults."""
    return {
        "train_micro_batch_size_per_gpu": scenario.window.micro_batch_size,
        "gradient_accumulation_steps": scenario.window.accumulation,
        "gradient_clipping": scenario.optimizer.max_grad_norm or 0.0,
        **deepspeed_setup.precision(scenario),
        "zero_optimization": deepspeed_setup.zero(scenario),
        # torch's AdamW also with offload: DeepSpeed's own CPUAdam would be compiled for minutes
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 1_000_000_000,
        **deepspeed_given.sections(scenario, auto=False),
    }


def train_step(scenario: Scenario, engine: Any, rows: Sequence[Tokens], step: int, rank: int, world: int) -> float:
    """One optimizer step; returns the mean loss over the tokens of the global batch.

    The engine averages over ranks and divides by the accumulation (its documentation of `backward`), so that a sum of
    token losses becomes the mean over the global batch when it is divided by tokens / (ranks x accumulation). It counts
    micro-batches over epochs, so that it is told where a window ends if one has fewer (its documentation of
    `set_gradient_accumulation_boundary`).
    """
    share = world * scenario.window.accumulation
    divisor = targets_in_step(scenario, rows, step) / share
    total = torch.zeros((), dtype=torch.float64)
    count = scenario.micro_batches(step)
    for index in range(count):
        if scenario.meets_last_window:
            engine.set_gradient_accumulation_boundary(index == count - 1)
        batch = {n: t.to(engine.device) for n, t in micro_batch(scenario, rows, step, index, rank).items()}
        if scenario.loss.engine_output == "loss":
            loss = engine(**batch, num_items_in_batch=divisor)
        else:
            loss = mean_loss(scenario, engine, batch, divisor)
        total += loss.detach().double().cpu() / share
        engine.backward(loss)
        engine.step()
    total = total.to(engine.device)
    torch.distributed.all_reduce(total)
    return float(total)


def number(value: Any) -> float | None:
    """A norm as a float: DeepSpeed gives a float, a tensor, or None without ZeRO in fp32."""
    return None if value is None else float(value)

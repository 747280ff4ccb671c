"""verl's engines, which its trainer for supervised training and the workers of its policy stand on: from 0.7.1 on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from hydra.core.plugins import Plugins
from packaging.version import Version
from transformers import LlamaConfig
from verl.utils import tensordict_utils
from verl.utils.model import get_hf_auto_model_class
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine, FSDPEngineWithLMHead
from verl.workers.engine_workers import TrainingWorker

from adapters.contract import Job, Optimizer, Scenario, Shim
from adapters.families import hf_lora
from adapters.families.verl_shims import (
    LOG_SOFTMAX,
    MEMORY,
    RANDOM_STATE,
    SCALER,
    SYNC,
    autocast_log_softmax_as_on_cuda,
    give_the_cpu_memory_figures,
    give_the_cpu_random_state,
    scale_on_the_cpu,
    sync_on_the_cpu,
)
from adapters.inside import flat, modeling, sharded
from adapters.inside.rank import answer_init_process_group
from adapters.inside.recorder import Recorder

PLATFORM = Shim(
    "cpu-platform",
    "verl has no CPU among its platforms; one is added by its own hook (plugin/platform, VERL_PLATFORM), and takes the"
    " engines that are registered for CUDA (VERL_ENGINE_DEVICE)",
)
ENGINE = Shim(
    "cpu-engine",
    "verl < 0.9 registers its FSDP engine for CUDA and NPU only (workers/engine/fsdp/transformer_impl.py); it is"
    " registered for the CPU as well, by EngineRegistry.register",
)
PROCESS_GROUP = Shim(
    "process-group",
    "verl calls init_process_group by itself, on a CPU with a backend that is not there or named twice"
    " (utils/distributed.py): the ranks meet with gloo where the launcher means them to",
)

STRATEGIES = {"none": "fsdp2", "fsdp": "fsdp2", "fsdp1": "fsdp"}
"""What verl calls a scenario's `sharding`: its own default is FSDP1, and what people are told to take is FSDP2."""

LATER = (
    "torch.distributed.checkpoint.state_dict",
    "torch.nested._internal.ops",
    "numpy.ctypeslib",
)


def unsupported(scenario: Scenario, name: str) -> str | None:
    """Why verl's engines cannot run this scenario; `name` is that of the release."""
    if (why := _unsupported_sharding(scenario, name)) is not None:
        return why
    if scenario.model.architecture == "gpt2":
        return (
            f"{name} asks every model for num_key_value_heads (models/transformers/monkey_patch.py) and takes for a"
            " language model what has ForCausalLM in its class's name (utils/model.py), so it has no"
            f" model.architecture={scenario.model.architecture!r}"
        )
    if scenario.precision.compute == "fp16" and "scaler" not in inspect.getsource(FSDPEngine.optimizer_step):
        return f"{name} scales no loss (FSDPEngine.optimizer_step), so it has no compute='fp16'"
    if scenario.loss.auxiliary:
        return (
            f"{name} computes its loss from logits and leaves out the router's (forward_step in"
            f" workers/engine/fsdp/transformer_impl.py), whatever config.json says: no"
            f" auxiliary={scenario.loss.auxiliary:g}"
        )
    if scenario.optimizer.weight_decay and scenario.optimizer.decayed != "all":
        return (
            f"{name} hands the optimizer all parameters in one group (build_optimizer in workers/config/optimizer.py),"
            f" so it has no optimizer.weight_decay={scenario.optimizer.weight_decay:g} that exempts norms"
        )
    return None


def _unsupported_sharding(scenario: Scenario, name: str) -> str | None:
    wanted = scenario.sharding
    if wanted.strategy not in STRATEGIES:
        return f"{name} has no sharding={wanted.strategy!r} in its trainer for supervised training, but FSDP"
    if scenario.window.resume_after and flat.cannot_save(scenario):
        return f"{name} has no resume_after with FSDP1 on a CPU: torch frees what a checkpoint is made of"
    if wanted.strategy == "fsdp1" and scenario.model.lora is not None:
        return f"{name} is not yet driven with model.lora and FSDP1"
    if wanted.offload_optimizer:
        return f"{name} moves an offloaded optimizer back before it steps, so it has no offload_optimizer=True"
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `apply` changes in this release of verl: nothing where there are CUDA devices."""
    if job.scenario.device == "cuda":
        return []
    device = PLATFORM if Version(job.version) >= Version("0.9") else ENGINE
    saves = [RANDOM_STATE] if job.scenario.window.resume_after else []
    scaler = [SCALER] if job.scenario.precision.compute == "fp16" else []
    sync = [SYNC] if job.scenario.sharding.strategy == "fsdp1" else []
    return [device, MEMORY, PROCESS_GROUP, LOG_SOFTMAX, *scaler, *saves, *sync]


def apply(job: Job) -> None:
    """Do what `shims` says, in this process."""
    applied = shims(job)
    if ENGINE in applied:
        register(STRATEGIES[job.scenario.sharding.strategy])
    if MEMORY in applied:
        give_the_cpu_memory_figures()
    if RANDOM_STATE in applied:
        give_the_cpu_random_state()
    if LOG_SOFTMAX in applied:
        autocast_log_softmax_as_on_cuda()
    if SCALER in applied:
        scale_on_the_cpu()
    if SYNC in applied:
        sync_on_the_cpu()
    if PROCESS_GROUP in applied:
        answer_init_process_group(job)


def register(backend: str) -> None:
    """Do what `ENGINE` says, in this process."""
    EngineRegistry.register(model_type="language_model", backend=backend, device="cpu")(FSDPEngineWithLMHead)


def prepare() -> None:
    """Import what would be imported in every cell: to find a model's class, verl asks for all there are."""
    get_hf_auto_model_class(LlamaConfig(architectures=["LlamaForCausalLM"]))
    for module in LATER:
        import_module(module)
    modeling.import_all()
    Plugins.instance()  # looks for hydra's plugins once


def precision(scenario: Scenario, engine: str) -> list[str]:
    """In what the engine of that name in the configuration computes and reduces, where it is not verl's default."""
    # bf16, fp32, fp32 where it is not said; 0.7.1 takes it and computes in bf16 all the same (issue 5932)
    reduced = "bf16" if scenario.precision.reduction == "bf16" else "fp32"
    mixed = f"{{param_dtype:{scenario.precision.compute},reduce_dtype:{reduced},buffer_dtype:fp32}}"
    return [f"+{engine}.mixed_precision={mixed}"] if scenario.precision.compute != "bf16" or reduced != "fp32" else []


TORCHS = {"adagrad": "Adagrad", "rmsprop": "RMSprop"}
"""Names of classes of torch.optim."""


def optimizer(rule: Optimizer, prefix: str) -> list[str]:
    """Any of torch.optim by name, and what else it is given (`build_optimizer` in workers/config/optimizer.py).

    prefix: of the optimizer's section in the configuration.
    """
    if rule.kind == "sgd":
        return [f"{prefix}.optimizer=SGD", f"+{prefix}.override_optimizer_config.momentum={rule.momentum!r}"]
    if rule.kind in TORCHS:
        told = [f"+{prefix}.override_optimizer_config.eps={rule.eps!r}"]
        alpha = [f"+{prefix}.override_optimizer_config.alpha={rule.alpha!r}"] if rule.kind == "rmsprop" else []
        return [f"{prefix}.optimizer={TORCHS[rule.kind]}", *told, *alpha]
    eps = f"+{prefix}.override_optimizer_config.eps={rule.eps!r}"
    return [f"{prefix}.betas=[{rule.beta1!r},{rule.beta2!r}]", eps]


def watch(job: Job, recorder: Recorder) -> None:
    """Let the recorder see the model once it is built, and the state and metrics after each batch."""
    initialize, train_batch = FSDPEngine.initialize, TrainingWorker.train_batch

    def initialize_and_watch(engine: Any) -> None:
        initialize(engine)
        if engine.engine_config.forward_only:  # a reference model's
            return
        if job.scenario.sharding.strategy != "none":
            sharded.check(engine.module, job)
        recorder.watch(flat.inner(engine.module))
        recorder.begin(sharded.parameters(engine.module, hf_lora.named) if job.record else {})

    def train_batch_and_record(worker: Any, data: Any) -> Any:
        output = train_batch(worker, data)
        # What the trainers log as loss, grad_norm and lr: the mean over ranks of their sums over micro-batches, each
        # scaled to the global batch; the norm before clipping; and the learning rate after the schedule has moved on
        # (FSDPEngine.lr_scheduler_step), which it does not between the mini-batches of one rollout.
        metrics: Mapping[str, float] = tensordict_utils.get(output, "metrics")
        engine = worker.engine
        kind = job.scenario.optimizer.kind
        held = sharded.of_model(engine.module, engine.optimizer, hf_lora.named, kind) if recorder.due else ({},)
        recorder.step(metrics["loss"], metrics["grad_norm"], metrics.get("lr"), *held)
        return output

    FSDPEngine.initialize = initialize_and_watch
    TrainingWorker.train_batch = train_batch_and_record

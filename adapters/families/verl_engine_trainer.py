"""verl's supervised trainer on its engines, as `torchrun -m verl.trainer.sft_trainer key=value ...` starts it."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from hydra.core.plugins import Plugins
from packaging.version import Version
from transformers import LlamaConfig
from verl.trainer import sft_trainer
from verl.utils import tensordict_utils
from verl.utils.checkpoint import CheckpointHandler
from verl.utils.model import get_hf_auto_model_class
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine, FSDPEngineWithLMHead
from verl.workers.engine_workers import TrainingWorker

from adapters.contract import Job, Optimizer, Scenario, Shim
from adapters.families import hf_lora, verl_data
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
from adapters.inside.resumed import SAVED, Saved

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


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why verl cannot run this scenario; None if it can."""
    name = f"verl {version}"
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
    if (why := verl_data.unsupported(scenario, name)) is not None:
        return why
    horizon, more = scenario.optimizer.schedule.horizon, scenario.dealing.steps(scenario.epochs_begun)
    if horizon > scenario.window.steps and more > scenario.window.steps:
        return f"{name} trains to the end of its schedule: no schedule.horizon={horizon} with rows for more steps"
    if (why := _unsupported_schedule(scenario)) is not None:
        return f"{name} {why} (_build_lr_scheduler in workers/engine/fsdp/transformer_impl.py)"
    if scenario.data.row_format != "conversation":
        return f"{name} reads conversations only (MultiTurnSFTDataset), not row_format={scenario.data.row_format!r}"
    if scenario.data.rows_per_sequence > 1 and scenario.window.micro_batch_size > 1:
        return (
            f"{name} packs a whole micro-batch into one sequence (model.use_remove_padding), so it has no"
            f" micro_batch_size={scenario.window.micro_batch_size} with"
            f" rows_per_sequence={scenario.data.rows_per_sequence}"
        )
    return _unsupported_lora(scenario, name)


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


def _unsupported_lora(scenario: Scenario, name: str) -> str | None:
    lora = scenario.model.lora
    if lora is None or "embed_tokens" not in lora.targets:
        return None
    return f"{name} shards embeddings by themselves, which torch cannot with peft's: no model.lora of embed_tokens"


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of verl: nothing where there are CUDA devices."""
    if job.scenario.device == "cuda":
        return []
    device = PLATFORM if Version(job.version) >= Version("0.9") else ENGINE
    saves = [RANDOM_STATE] if job.scenario.window.resume_after else []
    scaler = [SCALER] if job.scenario.precision.compute == "fp16" else []
    sync = [SYNC] if job.scenario.sharding.strategy == "fsdp1" else []
    return [device, MEMORY, PROCESS_GROUP, LOG_SOFTMAX, *scaler, *saves, *sync]


def prepare() -> None:
    """Import what the trainer otherwise would in every cell: to find a model's class, verl asks for all there are."""
    get_hf_auto_model_class(LlamaConfig(architectures=["LlamaForCausalLM"]))
    for module in LATER:
        import_module(module)
    modeling.import_all()
    Plugins.instance()  # looks for hydra's plugins once


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the trainer with the scenario as its command line. Raises whatever verl raises."""
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
    observe(job, recorder)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or it exits, where the reason belongs into the trace
    sys.argv = ["sft_trainer", *overrides(job, verl_data.write(job, rank))]
    sft_trainer.main()


def register(backend: str) -> None:
    """Do what `ENGINE` says, in this process."""
    EngineRegistry.register(model_type="language_model", backend=backend, device="cpu")(FSDPEngineWithLMHead)


def overrides(job: Job, files: str) -> list[str]:
    """The scenario as verl's command line; what it does not say stays at verl's defaults."""
    scenario = job.scenario
    rule, lora = scenario.optimizer, scenario.model.lora
    packed, tokens = scenario.data.rows_per_sequence, scenario.window.micro_batch_tokens
    # bf16, fp32, fp32 where it is not said; 0.7.1 takes it and computes in bf16 all the same (issue 5932)
    reduced = "bf16" if scenario.precision.reduction == "bf16" else "fp32"
    mixed = f"{{param_dtype:{scenario.precision.compute},reduce_dtype:{reduced},buffer_dtype:fp32}}"
    return [
        f"model.path={verl_data.quoted(job.checkpoint)}",
        f"+model.override_config.attn_implementation={modeling.attention_of(scenario)}",  # flash attention otherwise
        *(
            [f"+model.lora_adapter_path={verl_data.quoted(hf_lora.folder(job))}", f"model.lora_rank={lora.rank}"]
            if lora
            else []
        ),
        f"model.enable_gradient_checkpointing={scenario.model.gradient_checkpointing}",
        # with it, each micro-batch is one sequence without padding, its positions restarting with each row
        f"model.use_remove_padding={packed > 1 or tokens is not None}",
        "engine=fsdp",
        *(["engine.model_dtype=bf16"] if scenario.precision.masters == "none" else []),
        f"engine.strategy={STRATEGIES[scenario.sharding.strategy]}",
        *hybrid(scenario),
        "engine.use_torch_compile=False",  # of the entropy, which no supervised step needs
        *([f"+engine.mixed_precision={mixed}"] if scenario.precision.compute != "bf16" or reduced != "fp32" else []),
        f"data.train_files={files}",
        f"data.train_batch_size={scenario.rows_per_step}",
        f"data.micro_batch_size_per_gpu={scenario.window.micro_batch_size * packed}",
        *([f"data.max_length={scenario.data.max_length}", "data.truncation=right"] if scenario.data.max_length else []),
        f"data.use_dynamic_bsz={tokens is not None}",
        *([f"data.max_token_len_per_gpu={tokens}"] if tokens is not None else []),
        "data.num_workers=0",
        f"optim.lr={rule.learning_rate!r}",
        *optimizer(rule),
        f"optim.weight_decay={rule.weight_decay!r}",
        # None is refused (FSDPEngine.optimizer_step); no norm is above infinity
        f"optim.clip_grad={'inf' if rule.max_grad_norm is None else repr(rule.max_grad_norm)}",
        *schedule(scenario),
        f"trainer.total_epochs={scenario.epochs_begun}",
        f"trainer.total_training_steps={rule.schedule.horizon or scenario.window.steps}",
        f"trainer.device={scenario.device}",
        "trainer.logger=[console]",
        f"trainer.resume_mode={'auto' if job.part == 'after' else 'disable'}",
        *([f"trainer.save_freq={job.steps.stop}"] if job.part == "before" else []),
        f"trainer.default_local_dir={SAVED}",
        f"trainer.n_gpus_per_node={scenario.window.ranks}",
        "hydra.output_subdir=null",
        "hydra.run.dir=.",
        "hydra/job_logging=none",
    ]


TORCHS = {"adagrad": "Adagrad", "rmsprop": "RMSprop"}
"""Names of classes of torch.optim."""


def optimizer(rule: Optimizer) -> list[str]:
    """Any of torch.optim by name, and what else it is given (`build_optimizer` in workers/config/optimizer.py)."""
    if rule.kind == "sgd":
        return ["optim.optimizer=SGD", f"+optim.override_optimizer_config.momentum={rule.momentum!r}"]
    if rule.kind in TORCHS:
        told = [f"+optim.override_optimizer_config.eps={rule.eps!r}"]
        alpha = [f"+optim.override_optimizer_config.alpha={rule.alpha!r}"] if rule.kind == "rmsprop" else []
        return [f"optim.optimizer={TORCHS[rule.kind]}", *told, *alpha]
    return [f"optim.betas=[{rule.beta1!r},{rule.beta2!r}]", f"+optim.override_optimizer_config.eps={rule.eps!r}"]


def hybrid(scenario: Scenario) -> list[str]:
    """How many ranks share the shards, where it is not all of them."""
    replicas = scenario.sharding.replicas
    return [f"engine.fsdp_size={scenario.window.ranks // replicas}"] if replicas > 1 else []


def _unsupported_schedule(scenario: Scenario) -> str | None:
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    if told.decay not in ("none", "cosine"):
        return f"has a constant rate and a cosine, no schedule.decay={told.decay!r}"
    if told.stable_steps:
        return f"falls right after the warm-up, so it has no schedule.stable_steps={told.stable_steps}"
    counted = (told.warmup_from if steps else None, told.least_at)
    if told.decay == "cosine" and counted not in _COSINES:
        return "warms up from 0 with the least rate behind the last step, or from 1/W with it in the last step"
    if steps and told.warmup_from == "least":
        return "has no schedule.warmup_from='least'"
    rounded = int(told.warmup_ratio * told.span(scenario.window.steps))
    if told.warmup_ratio and rounded != steps:
        return f"rounds schedule.warmup_ratio={told.warmup_ratio:g} down to {rounded} steps, where {steps} are meant"
    return None


_COSINES = {
    (None, "after"): True,
    ("zero", "after"): True,
    (None, "last"): False,
    ("first", "last"): False,
}
"""Where a warm-up starts and the least rate is reached, and whether verl counts steps from 0 for it."""


def schedule(scenario: Scenario) -> list[str]:
    """The learning rate's schedule.

    verl's constant schedule warms up from 0 in the first step. Its cosine one can count steps from 1
    (`zero_indexed_step`), and with a least rate of 1 times the base it stays there after the warm-up.
    """
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    warmup = [f"optim.lr_warmup_steps_ratio={told.warmup_ratio!r}"] if told.warmup_ratio else []
    warmup = warmup or ([f"optim.lr_warmup_steps={steps}"] if steps else [])
    if told.decay == "cosine":
        from_0 = _COSINES[told.warmup_from if steps else None, told.least_at]
        counted = [] if from_0 else ["optim.zero_indexed_step=False"]
        return ["optim.lr_scheduler_type=cosine", f"optim.min_lr_ratio={told.least!r}", *warmup, *counted]
    if not steps or told.warmup_from == "zero":
        return ["optim.lr_scheduler_type=constant", *warmup]
    return ["optim.lr_scheduler_type=cosine", "optim.min_lr_ratio=1.0", *warmup, "optim.zero_indexed_step=False"]


def observe(job: Job, recorder: Recorder) -> None:
    """Let the recorder see the model once it is built, and the state and metrics after each batch."""
    save = CheckpointHandler.save_checkpoint
    initialize, train_batch, fit = FSDPEngine.initialize, TrainingWorker.train_batch, sft_trainer.SFTTrainer.fit

    def initialize_and_watch(engine: Any) -> None:
        initialize(engine)
        if job.scenario.sharding.strategy != "none":
            sharded.check(engine.module, job)
        recorder.watch(flat.inner(engine.module))
        recorder.begin(sharded.parameters(engine.module, hf_lora.named) if job.record else {})

    def train_batch_and_record(worker: Any, data: Any) -> Any:
        output = train_batch(worker, data)
        # What the trainer logs as train/loss, train/grad_norm and train/lr (sft_trainer.py): the mean over ranks of
        # their sums over micro-batches, each scaled to the tokens of the global batch; the norm before clipping; and
        # the learning rate after the schedule has moved on (FSDPEngine.lr_scheduler_step).
        metrics: Mapping[str, float] = tensordict_utils.get(output, "metrics")
        engine = worker.engine
        kind = job.scenario.optimizer.kind
        held = sharded.of_model(engine.module, engine.optimizer, hf_lora.named, kind) if recorder.due else ({},)
        recorder.step(metrics["loss"], metrics["grad_norm"], metrics["lr"], *held)
        return output

    def fit_and_end(trainer: Any) -> None:
        with contextlib.suppress(Saved):
            fit(trainer)
        recorder.end()  # before run_sft destroys the process group

    def save_and_end(handler: Any, step: int) -> None:
        if flat.cannot_save(job.scenario):  # and verl saves at the end, whatever it is told
            raise Saved
        save(handler, step)
        if job.part == "before" and step == job.steps.stop:
            raise Saved

    CheckpointHandler.save_checkpoint = save_and_end
    FSDPEngine.initialize = initialize_and_watch
    TrainingWorker.train_batch = train_batch_and_record
    sft_trainer.SFTTrainer.fit = fit_and_end

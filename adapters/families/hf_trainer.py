"""What frameworks on the Hugging Face Trainer share: the recording callback, and a scenario as its arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from importlib.metadata import version as installed
from types import SimpleNamespace
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor
from transformers import TrainerCallback
from transformers.optimization import get_wsd_schedule
from transformers.trainer_utils import SchedulerType

from adapters.contract import STATE, Job, Scenario, Shim
from adapters.families import deepspeed_given, deepspeed_setup, hf_fsdp, hf_liger, hf_lora, hf_optimizers, hf_shims
from adapters.families.deepspeed_setup import STAGES
from adapters.families.hf_schedules import named, rises_at_once
from adapters.inside import flat, modeling, sharded
from adapters.inside.rank import init_distributed
from adapters.inside.recorder import Recorder
from adapters.inside.resumed import Saved

OUTPUT = "output"
"""Folder of the Trainer's checkpoints, in the current one."""

LAZY = ("torch._dynamo", "torch.distributed.fsdp")
"""Modules that are imported only when they are used, so that every rank would do it anew."""

TORCH_ADAM = Shim(
    "torch-adam",
    "with offload, accelerate puts DeepSpeed's CPUAdam in the place of the Trainer's AdamW, which on a CPU would be"
    " compiled for minutes: DeepSpeed's own option zero_force_ds_cpu_optimizer leaves the Trainer's",
)

if deepspeed_setup.INSTALLED:
    from adapters.families import deepspeed_shims, deepspeed_state


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """What no framework on the Trainer of this environment can express; `framework` names it for the message."""
    if uses_deepspeed(scenario) and not deepspeed_setup.INSTALLED:
        return f"{framework}: sharding={scenario.sharding.strategy!r} needs deepspeed, which is not installed"
    if uses_deepspeed(scenario) and scenario.device == "cpu" and Version(installed("accelerate")) < Version("1"):
        return (
            f"{framework} has no sharding={scenario.sharding.strategy!r} on a CPU: accelerate {installed('accelerate')}"
            " leaves DeepSpeed out there, without a word (AcceleratorState in state.py)"
        )
    if scenario.precision.reduction != "own" and not uses_deepspeed(scenario):
        return (
            f"{framework} has precision.reduction with ZeRO only: DDP reduces in the gradients' own dtype, and FSDP in"
            " what accelerate chooses (set_mixed_precision in utils/dataclasses.py)"
        )
    if scenario.sharding.strategy in STAGES and (why := deepspeed_setup.unsupported(scenario)) is not None:
        return f"{framework} has {why}"
    if (why := hf_fsdp.unsupported(scenario, framework)) is not None:
        return why
    parts = scenario.model.lora is not None or bool(scenario.model.frozen)
    if parts and scenario.precision.masters == "none":
        return f"{framework} has no masters='none' with model.lora or model.frozen yet"
    if scenario.precision.masters == "none" and scenario.sharding.strategy != "none":
        return (
            f"{framework} has no masters='none' with DeepSpeed, which makes float32 masters unless told otherwise, yet"
        )
    if not uses_deepspeed(scenario) and (why := _unsupported_half(scenario, framework)) is not None:
        return why
    if scenario.meets_last_window and scenario.window.last_window != "partial":
        return (
            f"{framework} has no last_window={scenario.window.last_window!r}: the Trainer makes a step of an epoch's"
            " last rows (_run_epoch in transformers' trainer.py)"
        )
    why = _unsupported_given(scenario, framework) or hf_optimizers.unsupported(scenario, framework)
    return why or hf_lora.unsupported(scenario, framework) or hf_liger.unsupported(scenario, framework)


def _unsupported_half(scenario: Scenario, framework: str) -> str | None:
    """Why there is no fp16 without DeepSpeed; None if there is, or if nobody wants it."""
    first = scenario.precision.loss_scale
    if scenario.precision.compute != "fp16":
        return None
    if scenario.device == "cpu":
        return (
            f"{framework} has no compute='fp16' on a CPU: accelerate makes no scaler of the loss there"
            " (Accelerator.__init__ in accelerator.py)"
        )
    if first != 65536.0:
        return f"{framework} leaves torch's own first scale, 65536, so it has no loss_scale={first:g}"
    return None


def _unsupported_given(scenario: Scenario, framework: str) -> str | None:
    """Why optimizer and schedule cannot be given where they are to be."""
    rule = scenario.optimizer
    if rule.given_in == "options":
        if rule.decayed == "all":
            return (
                f"{framework} has no optimizer.decayed='all' by its options: the Trainer exempts norms and biases"
                " (get_decay_parameter_names in transformers/trainer.py)"
            )
        if rule.schedule.warmup_shape != "linear":
            return f"{framework} has no schedule.warmup_shape={rule.schedule.warmup_shape!r} by its options"
        return _unsupported_schedule(scenario, framework)
    if not uses_deepspeed(scenario):
        return f"{framework} has given_in='engine' only with a ZeRO stage: there is no engine without"
    if (why := deepspeed_given.unsupported(scenario)) is not None:
        return f"{framework} has {why}"
    return _unsupported_schedule(scenario, framework) if rule.schedule.constant else None


STRETCHES = "warmup_type" in inspect.signature(get_wsd_schedule).parameters
"""Whether `warmup_stable_decay` rises from the rate that it falls to, and falls in more shapes than one."""


def _unsupported_schedule(scenario: Scenario, framework: str) -> str | None:
    told = scenario.optimizer.schedule
    release = f"transformers {installed('transformers')}, optimization.py"
    found = named(told, scenario.optimizer, scenario.window.steps)
    if rises_at_once(scenario):
        if not STRETCHES:
            return f"{framework} has no schedule.warmup_from='first' ({release}): its first step would not move"
        if told.warmup_ratio:
            return (
                f"{framework} has schedule.warmup_from='first' by steps only, not by schedule.warmup_ratio ({release})"
            )
        return None
    if found is None or (found.name == "warmup_stable_decay" and not STRETCHES):
        return (
            f"{framework} has no schedule that falls by schedule.decay={told.decay!r} and counts as this one does: a"
            " warm-up from 0 and the least rate behind the last step, or for a cosine from 1/W and in the last step"
            f" ({release})"
        )
    if found.name not in [kind.value for kind in SchedulerType]:
        return f"{framework} has no schedule {found.name} yet ({release})"
    return None


def shims(job: Job) -> list[Shim]:
    """What is changed in DeepSpeed or accelerate, where they shard, and else in transformers."""
    scenario = job.scenario
    if not uses_deepspeed(scenario):
        return [*hf_shims.needed(scenario), *hf_fsdp.shims(scenario), *hf_liger.needed(scenario)]
    adam = [TORCH_ADAM] if scenario.sharding.offload_optimizer and scenario.device == "cpu" else []
    return [*adam, *deepspeed_shims.needed(installed("deepspeed"), scenario), *hf_liger.needed(scenario)]


def uses_deepspeed(scenario: Scenario) -> bool:
    """Whether it is DeepSpeed that shards."""
    return STAGES.get(scenario.sharding.strategy, 0) > 0


def prepare() -> None:
    """Import what the Trainer, accelerate and DeepSpeed would in every rank.

    accelerate asks whether the model is compiled, which before 1.11 imports torch._dynamo (utils/other.py): 4 s.
    """
    for module in (*LAZY, *hf_liger.MODULES):
        import_module(module)
    modeling.import_all()
    deepspeed_setup.prepare()


def begin(job: Job) -> None:
    """What comes before the framework: shims, and torch.distributed, which accelerate and DeepSpeed then go on with."""
    if uses_deepspeed(job.scenario):
        deepspeed_shims.apply(shims(job))
    hf_shims.apply(shims(job))
    hf_fsdp.apply(job.scenario)
    hf_liger.apply(job.scenario)
    init_distributed(job)
    deepspeed_setup.set_local_size()


def arguments(scenario: Scenario, known: Sequence[str]) -> dict[str, Any]:
    """The scenario as TrainingArguments, and all that this machine asks for. `known`: those that the release has."""
    rule = scenario.optimizer
    wanted: dict[str, Any] = {
        "output_dir": OUTPUT,
        # the horizon of the schedule; `Recording` stops a run that is shorter
        "max_steps": scenario.optimizer.schedule.span(scenario.window.steps),
        "per_device_train_batch_size": scenario.window.micro_batch_size,
        "gradient_accumulation_steps": scenario.window.accumulation,
        "learning_rate": rule.learning_rate,
        **hf_optimizers.options(rule),
        "weight_decay": rule.weight_decay,
        # 0 is how the Trainer is told not to clip
        "max_grad_norm": scenario.optimizer.max_grad_norm or 0.0,
        **_schedule(scenario),
        "bf16": scenario.precision.compute == "bf16",
        "fp16": scenario.precision.compute == "fp16",
        "label_smoothing_factor": scenario.loss.label_smoothing,
        **({"neftune_noise_alpha": scenario.model.neftune_alpha} if scenario.model.neftune_alpha else {}),
        "gradient_checkpointing": scenario.model.gradient_checkpointing,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    if scenario.device == "cpu":
        wanted |= {"use_cpu": True, "ddp_backend": "gloo"}
    if scenario.model.compiled != "none":
        wanted |= {"torch_compile": True, "torch_compile_backend": scenario.model.compiled}
    wanted |= {"deepspeed": deepspeed_config(scenario)} if uses_deepspeed(scenario) else hf_fsdp.arguments(scenario)
    if "train_sampling_strategy" in known and scenario.data.order == "given":
        wanted["train_sampling_strategy"] = "sequential"
    if scenario.data.order == "by-length":
        # an option of its own before transformers 5, and in ms-swift, whose loader is its own
        by_itself = "group_by_length" in known
        wanted |= {"group_by_length": True} if by_itself else {"train_sampling_strategy": "group_by_length"}
    return wanted


def _schedule(scenario: Scenario) -> dict[str, Any]:
    """By transformers' names. Its plain warm-up gives step k the rate k / warmup_steps: nothing to the first.

    Its warmup_stable_decay can begin elsewhere: from 1/W to 1 in W - 1 steps. It stays there for as long as it is told
    to, and else falls back to 1/W after the last step, or after the steps that LLaMA-Factory fills in
    (`create_custom_scheduler` in train/trainer_utils.py).
    """
    told, steps = scenario.optimizer.schedule, scenario.optimizer.schedule.warmup(scenario.window.steps)
    if scenario.optimizer.given_in == "engine" and not told.constant:
        return _warmup(told.warmup_ratio, steps)  # which must agree with the engine's section
    if not rises_at_once(scenario):
        found = named(told, scenario.optimizer, scenario.window.steps)
        if found is None:
            raise ValueError(f"no schedule of transformers is {told}")
        return {
            "lr_scheduler_type": found.name,
            **_warmup(told.warmup_ratio, steps),
            **({"lr_scheduler_kwargs": found.kwargs} if found.kwargs else {}),
        }
    if steps < 2:
        return {"lr_scheduler_type": "constant"}
    return {
        "lr_scheduler_type": "warmup_stable_decay",
        "warmup_steps": steps - 1,
        "lr_scheduler_kwargs": {
            "min_lr_ratio": 1.0 / steps,
            "num_stable_steps": scenario.window.steps,
            "num_decay_steps": 0,
        },
    }


def _warmup(ratio: float, steps: int) -> dict[str, Any]:
    """From transformers 5 on, a number of steps below 1 is a ratio."""
    if not ratio:
        return {"warmup_steps": steps} if steps else {}
    return {"warmup_steps" if Version(installed("transformers")) >= Version("5") else "warmup_ratio": ratio}


def deepspeed_config(scenario: Scenario) -> dict[str, Any]:
    """ZeRO as the scenario asks; the rest is left to the Trainer, as its documentation has it."""
    half = scenario.precision.compute == "fp16"  # or its first scale would be another one
    config = {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        **(deepspeed_setup.precision(scenario) if half else {"bf16": {"enabled": "auto"}}),
        "zero_optimization": deepspeed_setup.zero(scenario),
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 1_000_000_000,
    }
    config |= deepspeed_given.sections(scenario, auto=True) | deepspeed_setup.reduction(scenario)
    return {**config, "zero_force_ds_cpu_optimizer": False} if scenario.device == "cpu" else config


def loaded_in(scenario: Scenario) -> str:
    """The dtype of the checkpoint's parameters, which without DeepSpeed are those that the optimizer updates."""
    return "float32" if scenario.precision.masters == "fp32" else "bfloat16"


def names(config: type) -> list[str]:
    """The arguments that a dataclass of them takes."""
    return [f.name for f in fields(config)]


def shuffled_back(rows: Sequence[Any], seed: int) -> list[Any]:
    """`rows` in such an order that the Trainer's shuffle puts them back into the given one.

    accelerate's SeedableRandomSampler (data_loader.py) draws torch.randperm in the first epoch from a generator that
    is seeded with the Trainer's seed.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    placed: list[Any] = [None] * len(rows)
    for row, place in zip(rows, order, strict=True):
        placed[place] = row
    return placed


def saved(job: Job) -> str | None:
    """The Trainer's checkpoint that this part of a run goes on from, in the current folder."""
    return f"{OUTPUT}/checkpoint-{job.steps.start}" if job.part == "after" else None


class Recording(TrainerCallback):
    """Tells the recorder of every optimizer step: what the optimizer holds, and what the Trainer logs, if it logs.

    A step is over with `on_step_end`. A log of it comes right after that, or later, or never; parameters and moments
    stay as they are until the next step begins, which is when a step is recorded that was not logged.
    """

    def __init__(self, job: Job, recorder: Recorder, rank: int) -> None:
        self._job = job
        self._recorder = recorder
        self._rank = rank
        self._relink = deepspeed_setup.INSTALLED and deepspeed_shims.RELINK_MOMENTS in shims(job)
        self._due = False
        self._unlogged = 0

    def on_train_begin(self, _: Any, state: Any, __: Any, **given: Any) -> None:
        if self._job.scenario.sharding.strategy in hf_fsdp.VERSIONS:
            sharded.check(given["model"], self._job)
        deepspeed_setup.check_secondary(given["model"], self._job.scenario)
        self._recorder.watch(flat.inner(given["model"]))
        fresh = self._job.record and self._job.part != "after"
        self._recorder.begin(self._read(state, given)[0] if fresh else {})

    def on_step_begin(self, _: Any, state: Any, __: Any, **given: Any) -> None:
        self._record(state, given, {})

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        self._due = True
        self._unlogged += 1
        if state.global_step >= self._job.scenario.window.steps:
            control.should_training_stop = True
        if self._job.part == "before" and state.global_step == self._job.steps.stop:
            control.should_save = control.should_training_stop = True

    def on_log(self, _: Any, state: Any, __: Any, logs: Mapping[str, Any] | None = None, **given: Any) -> None:
        if logs is None or "loss" not in logs:  # the summary at the end
            return
        self._record(state, given, logs)
        self._unlogged = 0

    def on_train_end(self, _: Any, state: Any, __: Any, **given: Any) -> None:
        """LLaMA-Factory leaves torch.distributed when it is done, so that the trace is sealed before."""
        self._record(state, given, {})
        self._recorder.end()
        if self._job.scenario.sharding.strategy in hf_fsdp.VERSIONS and flat.cannot_save(self._job.scenario):
            raise Saved  # LLaMA-Factory and ms-swift save the model next

    def _record(self, state: Any, given: Mapping[str, Any], logs: Mapping[str, Any]) -> None:
        """Record the step that is over, unless that is done."""
        if not self._due:
            return
        self._due = False
        if self._relink and deepspeed_state.relink_moments(_optimizer(state, given)):
            self._relink = False
        loss = _number(logs.get("loss")) if self._unlogged == 1 else None  # else it is the mean over several steps
        self._recorder.step(
            None if loss is None else unrounded(loss),
            _number(logs.get("grad_norm")),
            _number(logs.get("learning_rate")),
            *(self._read(state, given) if self._recorder.due else ({},)),
        )

    def _read(self, state: Any, given: Mapping[str, Any]) -> tuple[dict[str, Tensor], ...]:
        """Parameters and moments, by the names of the Hugging Face model; no moments before the first step."""
        kind = self._job.scenario.optimizer.kind
        optimizer = _optimizer(state, given)
        if self._job.scenario.sharding.strategy in hf_fsdp.VERSIONS:
            return sharded.of_model(given["model"], optimizer, hf_lora.named, kind)
        parameters = hf_lora.named(given["model"])
        if uses_deepspeed(self._job.scenario):
            engine = SimpleNamespace(optimizer=optimizer)
            if state.global_step == 0:
                return (deepspeed_state.read_parameters(engine, parameters, self._rank),)
            return deepspeed_state.read(engine, parameters, self._rank, kind)
        held = {name: optimizer.state[p] for name, p in parameters.items() if p in optimizer.state}
        return (dict(parameters), *({name: moments[key] for name, moments in held.items()} for key in STATE[kind]))


def _optimizer(state: Any, given: Mapping[str, Any]) -> Any:
    """The optimizer in accelerate's wrapper.

    transformers 4.49.0 leaves that with the Trainer's state and tells callbacks of none (`init_training_references` in
    trainer_callback.py).
    """
    optimizer = given["optimizer"] if given["optimizer"] is not None else state.optimizer
    return optimizer.optimizer


def unrounded(loss: float) -> float | None:
    """The loss, or None where it was rounded before it was logged: it is not the number then that it claims to be.

    The Trainer rounds to four decimals before transformers 5 (`_maybe_log_save_evaluate`). A mean over tokens has more,
    and one of 0 is wrong however it was rounded.
    """
    return None if loss and math.isfinite(loss) and round(loss, 4) == loss else loss


def _number(value: Any) -> float | None:
    return None if value is None else float(value)

"""A DeepSpeed configuration beside the Trainer's arguments: which of the two decides what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from adapters.contract import Optimizer, OptimizerKind, Schedule
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read import configuration as read
from harness.validation.read.configuration import Companion, Configuration, truth
from harness.validation.step import schedules
from harness.validation.step.effective import Effective, Precision

AUTO = "auto"
CLIPS_SINCE = (
    "deepspeed does not clip before 0.19.3 where its configuration has no gradient_clipping, and at 1.0 from there"
)
DIFFERS = "and the Trainer refuses what differs"
_KINDS: Mapping[str, OptimizerKind] = {
    "adam": "adamw",
    "adamw": "adamw",
    "sgd": "sgd",
    "adagrad": "adagrad",
    "rmsprop": "rmsprop",
}


def of_accelerate(told: Companion) -> Companion | None:
    """What accelerate makes of its own YAML, where that has DeepSpeed's fields in it; None where it has none.

    What it does not say is left to the Trainer (DeepSpeedPlugin in accelerate/utils/dataclasses.py).
    """
    own = told.at("deepspeed_config")
    if told.at("distributed_type") != "DEEPSPEED" or not isinstance(own, Mapping) or own.get("deepspeed_config_file"):
        return None
    zero = {
        "stage": own.get("zero_stage", 2),
        "offload_optimizer": {"device": own.get("offload_optimizer_device", "none")},
        "offload_param": {"device": own.get("offload_param_device", "none")},
    }
    both = {key: own.get(key, AUTO) for key in ("gradient_clipping", "gradient_accumulation_steps")}
    batches = dict.fromkeys(("train_batch_size", "train_micro_batch_size_per_gpu"), AUTO)
    return Companion(told.name, {"zero_optimization": zero, **both, **batches})


def launched(found: Configuration) -> Configuration:
    """With what accelerate's YAML says of DeepSpeed and of how many processes there are, where nobody else says it."""
    told = found.accelerate
    if told is None:
        return found
    count = told.at("num_processes")
    known = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= MOST_PROCESSES
    ranks = found.ranks or (count if known else None)
    return replace(found, deepspeed=found.deepspeed or of_accelerate(told), ranks=ranks)


MOST_PROCESSES = 2**20
PRESET = "accelerate_config"
"""Option of `trl sft`: a file for accelerate, or the name of one that TRL ships."""


def under(step: Effective, options: Options, engine: Companion, release: Release | None, warmup: Schedule) -> Effective:
    """The step with DeepSpeed beneath the Trainer. warmup: of the Trainer's arguments. Raises BadConfiguration."""
    because = dict(step.because)
    if step.precision.compute != "fp32":
        because["dtypes"] = f"{step.precision.compute} under DeepSpeed, {engine.name}"
    rule = _clipped(step.optimizer, engine, release, because)
    rule = _ruled(rule, engine, because)
    missing = list(step.not_covered)
    section = engine.at("scheduler")
    if isinstance(section, Mapping):
        kind, params = str(section.get("type")), section.get("params")
        found = schedules.of_deepspeed(kind, params if isinstance(params, Mapping) else {}, warmup)
        over = f"lr_scheduler_type {options.value('lr_scheduler_type', 'linear')}"
        because["schedule"] = f"scheduler {kind} in {engine.name}, over {over}"
        rule = replace(rule, schedule=found or Schedule())
        missing += [] if found else [f"the schedule {kind}, which no intent says: its rates are not told"]
    return replace(
        step,
        optimizer=rule,
        strange=_strange(step, engine),
        precision=precision(step.precision),
        because=because,
        not_covered=tuple(missing),
        odd=(*step.odd, *_odd(step, engine)),
        refused=(*step.refused, *_refused(step, options, engine)),
    )


def _clipped(rule: Optimizer, engine: Companion, release: Release | None, because: dict[str, str]) -> Optimizer:
    if engine.has("gradient_clipping"):
        said = engine.at("gradient_clipping")
        if said != AUTO:
            because["clipping"] = f"gradient_clipping in {engine.name}"
            limit = read.number(said, "gradient_clipping")
            return replace(rule, max_grad_norm=limit if limit > 0 else None)
        return rule
    default = 0.0 if release is None else release.options.get("gradient_clipping") or 0.0
    lost = "" if rule.max_grad_norm is None else f", over max_grad_norm {rule.max_grad_norm:g}"
    because["clipping"] = (
        f"the default of {release or 'deepspeed'}: {engine.name} has no gradient_clipping{lost}; {CLIPS_SINCE}"
    )
    return replace(rule, max_grad_norm=float(default) or None)


def _ruled(rule: Optimizer, engine: Companion, because: dict[str, str]) -> Optimizer:
    section = engine.at("optimizer")
    if not isinstance(section, Mapping):
        return rule
    params = section.get("params")
    said = {key: value for key, value in (params if isinstance(params, Mapping) else {}).items() if value != AUTO}
    kind = _KINDS.get(str(section.get("type", "")).lower())
    because["optimizer"] = f"optimizer {section.get('type')} in {engine.name}"
    because["decay"] = f"optimizer in {engine.name}, which makes one group of all parameters"
    rule = replace(rule, decayed="all", given_in="engine", kind=kind or rule.kind)
    fields = {"lr": "learning_rate", "eps": "eps", "weight_decay": "weight_decay", "momentum": "momentum"}
    changed: dict[str, Any] = {fields[key]: read.number(said[key], key) for key in fields if key in said}
    if isinstance(said.get("betas"), list) and len(said["betas"]) == 2:
        changed |= dict(zip(("beta1", "beta2"), (read.number(one, "betas") for one in said["betas"]), strict=True))
    if "lr" in said:
        because["learning rate"] = f"optimizer.params.lr in {engine.name}"
    return replace(rule, **changed)


def _strange(step: Effective, engine: Companion) -> str | None:
    """Its own optimizer, where no intent says its rule; it takes the place of the Trainer's."""
    section = engine.at("optimizer")
    if not isinstance(section, Mapping):
        return step.strange
    name = str(section.get("type", ""))
    return None if name.lower() in _KINDS else name


def precision(told: Precision) -> Precision:
    """Under DeepSpeed weights are of the precision that is computed in, beside float32 ones that the optimizer has."""
    return told if told.compute == "fp32" else replace(told, weights=told.compute, masters="fp32")


def _refused(step: Effective, options: Options, engine: Companion) -> Iterator[str]:
    """What DeepSpeed's configuration says otherwise than the Trainer's arguments, which ends its start.

    By HfTrainerDeepSpeedConfig.trainer_config_process in transformers/integrations/deepspeed.py.
    """
    rule = step.optimizer
    beside = {
        "train_micro_batch_size_per_gpu": ("per_device_train_batch_size", step.micro_batch_size),
        "gradient_accumulation_steps": ("gradient_accumulation_steps", step.accumulation),
        "train_batch_size": ("global batch", step.sequences),
        "gradient_clipping": ("max_grad_norm", options.number("max_grad_norm", 1.0)),
        "optimizer.params.lr": ("learning_rate", options.number("learning_rate", rule.learning_rate)),
        "optimizer.params.eps": ("adam_epsilon", options.number("adam_epsilon", rule.eps)),
        "optimizer.params.weight_decay": ("weight_decay", options.number("weight_decay", 0.0)),
        "scheduler.params.warmup_max_lr": ("learning_rate", options.number("learning_rate", rule.learning_rate)),
    }
    for path, (argument, wanted) in beside.items():
        said = engine.at(path)
        if said not in (None, AUTO) and wanted is not None and read.number(said, path) != wanted:
            yield f"{path} {said} in {engine.name} is not the {argument} of {wanted:g}, {DIFFERS}"
    for path, on in (("bf16.enabled", "bf16"), ("fp16.enabled", "fp16")):
        said = engine.at(path)
        if said not in (None, AUTO) and truth(said) != (step.precision.compute == on):
            told = f"{path} {str(said).lower()} in {engine.name}"
            yield f"{told} is not what the Trainer's arguments say, {DIFFERS}"


def _odd(step: Effective, engine: Companion) -> Iterator[str]:
    if not engine.has("gradient_accumulation_steps") and (step.accumulation or 1) > 1:
        yield (
            f"{engine.name} has no gradient_accumulation_steps, which accelerate takes for 1 beneath the Trainer's"
            f" {step.accumulation}: what a step is then depends on the release"
        )

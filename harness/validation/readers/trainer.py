"""What arguments of the Trainer of transformers say of a step; frameworks around it have most of them too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.contract import Optimizer, OptimizerKind, Schedule
from harness.intent.intent import Mean, TokenLoss
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read import configuration as read
from harness.validation.step import engine, schedules
from harness.validation.step.effective import Effective, Precision

COARSE = ("8bit", "4bit")


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """The step of a Trainer; what a framework around it decides is not in it yet. below: DeepSpeed's release.

    Raises BadConfiguration.
    """
    micro = options.whole("per_device_train_batch_size", 8, 1)
    accumulation = options.whole("gradient_accumulation_steps", 1, 1)
    steps = options.whole("max_steps", -1, -1)
    warmup = _warmup(options)
    missing: list[str] = []
    found = Effective(
        micro_batch_size=micro,
        accumulation=accumulation,
        ranks=ranks,
        sequences=micro * accumulation * ranks if ranks else None,
        optimizer=_optimizer(options, warmup, missing),
        strange=_strange(options),
        epochs=options.number("num_train_epochs", 3.0),
        steps=steps if steps > 0 else None,
        precision=_precision(options),
        token_loss=TokenLoss(options.share("label_smoothing_factor", 0.0)),
        because=_because(options),
    )
    found = _averaged(replace(found, not_covered=tuple(missing)), options)
    under = options.configuration.deepspeed
    if under is not None:
        return engine.under(found, options, under, below, warmup)
    return replace(found, precision=engine.precision(found.precision)) if options.value("deepspeed") else found


def _because(options: Options) -> dict[str, str]:
    return {
        "global batch": options.by("per_device_train_batch_size", "gradient_accumulation_steps"),
        "length": options.by("max_steps")
        if options.said("max_steps") and not options.said("num_train_epochs")
        else options.by("num_train_epochs"),
        "learning rate": options.by("learning_rate"),
        "schedule": _schedule_by(options),
        "clipping": options.by("max_grad_norm"),
        "optimizer": options.by("optim", "adam_beta1", "adam_beta2", "adam_epsilon"),
        "decay": options.by("weight_decay"),
        "dtypes": options.by("bf16", "fp16", "dtype", "torch_dtype"),
        "token loss": options.by("label_smoothing_factor"),
    }


def _warmup(options: Options) -> Schedule:
    """Steps come before a ratio that is not put in their place; since transformers 5 steps below 1 are a ratio."""
    steps = options.number("warmup_ratio" if _ratio_wins(options) else "warmup_steps", 0.0)
    if steps >= 1:
        return Schedule(warmup_steps=read.whole(steps, "warmup_steps"))
    return Schedule(warmup_ratio=read.share(steps or options.number("warmup_ratio", 0.0), "warmup_ratio"))


def _ratio_wins(options: Options) -> bool:
    """In transformers 5, which has no default for it, a ratio is put in the place of the steps."""
    return options.value("warmup_ratio") is not None and options.no_default("warmup_ratio")


def _schedule_by(options: Options) -> str:
    both = options.said("warmup_ratio") and options.said("warmup_steps")
    if not both or not options.release:
        return options.by("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio")
    first, over = ("ratio", "steps") if _ratio_wins(options) else ("steps", "ratio")
    return (
        f"{options.by('lr_scheduler_type', 'lr_scheduler_kwargs', f'warmup_{first}')}, over warmup_{over}: "
        "steps win in transformers 4, the ratio in 5"
    )


def _optimizer(options: Options, warmup: Schedule, missing: list[str]) -> Optimizer:
    name = str(options.value("optim", "adamw_torch"))
    kind: OptimizerKind = next((kind for kind in KINDS if name.startswith(kind)), "adamw")
    if any(part in name for part in COARSE):
        missing.append(f"the moments of {name}, which are of 8 bits or fewer: held against float32 ones")
    rate = options.rate("learning_rate", 5e-5)
    scheduler = str(options.value("lr_scheduler_type", "linear"))
    schedule = schedules.of_transformers(scheduler, options.value("lr_scheduler_kwargs"), rate, warmup)
    if schedule is None:
        missing.append(f"the schedule {scheduler}, which no intent says: its rates are not told")
    return Optimizer(
        kind=kind,
        learning_rate=rate,
        beta1=options.share("adam_beta1", 0.9),
        beta2=options.share("adam_beta2", 0.999),
        eps=options.number("adam_epsilon", 1e-8),
        weight_decay=options.number("weight_decay", 0.0),
        max_grad_norm=options.limit("max_grad_norm", 1.0),
        schedule=schedule or Schedule(),
    )


def _strange(options: Options) -> str | None:
    name = str(options.value("optim", "adamw_torch"))
    held = any(part in name for part in (*KINDS, "adamw", *COARSE)) and not name.startswith(STRANGE)
    return None if held else name


STRANGE = ("galore", "apollo", "schedule", "stable", "grok")
"""Beginnings of names of optimizers that have another rule, whatever else is in the name."""
KINDS: tuple[OptimizerKind, ...] = ("sgd", "adagrad", "rmsprop")


def _precision(options: Options) -> Precision:
    """Mixed precision by autocast, unless the weights themselves are loaded in less than float32."""
    bf16 = options.truth("bf16", default=_trl_default(options))
    compute: Any = "bf16" if bf16 else "fp16" if options.truth("fp16") else "fp32"
    loaded = str(options.value("dtype", options.value("torch_dtype", "float32"))).removeprefix("torch.")
    weights: Any = {"bfloat16": "bf16", "float16": "fp16"}.get(loaded, "fp32")
    if compute == "fp32" and weights == "bf16":
        compute = "bf16"
    return Precision(compute, weights, "none" if weights != "fp32" else "fp32")


def _trl_default(options: Options) -> bool:
    """Where bf16 has no default of its own it is on, unless fp16 is (SFTConfig.__post_init__ of trl)."""
    release = options.release
    blank = release is not None and release.package == "trl" and release.options.get("bf16", False) is None
    return blank and not options.truth("fp16")


def _averaged(step: Effective, options: Options) -> Effective:
    key = "average_tokens_across_devices"
    if read.truth(options.value(key, True)):
        known = options.said(key) or (options.release is not None and key in options.release.options)
        by = f"{options.by(key)}: {key}" if known else "the Trainer"
        return replace(step, because={"aggregation": by, **step.because})
    because = f"{options.by(key)}: {key} is false"
    return replace(step, aggregation=Mean("rank"), because={**step.because, "aggregation": because})

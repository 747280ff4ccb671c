"""verl: Hydra's overrides of the old trainer (`fsdp_sft_trainer`) and of the new one (`sft_trainer`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.contract import Optimizer, Schedule
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read import configuration as read
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration
from harness.validation.step.effective import Effective, Precision

PACKAGES = ("verl/sft_trainer_engine", "verl/sft_trainer")
NAMES: Mapping[str, str] = {}
OLD, NEW = "verl.trainer.fsdp_sft_trainer", "verl.trainer.sft_trainer"
TOKENS = 192
"""Of a micro-batch at most, in a small run where micro-batches are put together by tokens: a few rows of it."""
FLASH = (
    "flash attention, which verl asks for by itself; ran torch's own instead; a fault inside flash attention would not"
    " show"
)
TEMPLATES = ("data.chat_template", "model.custom_chat_template")
PROGRAMS = (NEW, OLD, "verl/trainer/fsdp_sft_trainer.py", "verl/trainer/sft_trainer.py")


def packages(program: str | None) -> tuple[str, ...]:
    """Which table has the options of a trainer."""
    return PACKAGES[1:] if program and "fsdp" in program else PACKAGES[:1]


def is_old(configuration: Configuration) -> bool:
    """Whether it is of the old trainer."""
    return bool(configuration.program and "fsdp" in configuration.program)


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    old = is_old(options.configuration)
    micro = options.whole("data.micro_batch_size_per_gpu", 4, 1)
    sequences = options.whole("data.train_batch_size", 256, 1)
    dynamic = not old and options.truth("data.use_dynamic_bsz", default=True)
    missing, refused = [], []
    accumulation = None
    if dynamic:
        most = options.value("data.max_token_len_per_gpu")
        missing.append(f"which rows are in which micro-batch: they are put together by tokens, {most} at most")
    elif ranks:
        accumulation, over = divmod(sequences, micro * ranks)
        if over or not accumulation:
            refused.append(f"data.train_batch_size {sequences} is not a multiple of {micro} rows times {ranks} ranks")
    steps = options.value("trainer.total_training_steps")
    said = read.whole(steps, "trainer.total_training_steps", 1) if steps is not None else None
    odd = _odd(options, old, said)
    missing.append(FLASH) if _flash(options, old) else None
    return Effective(
        micro_batch_size=micro,
        accumulation=accumulation or None,
        ranks=ranks,
        sequences=sequences,
        optimizer=_optimizer(options, old, missing),
        epochs=options.number("trainer.total_epochs", 1.0),
        steps=None if old else said,
        by_batch=True,
        by_epochs=old,
        micro_batch_tokens=TOKENS if dynamic else None,
        precision=_precision(options, old),
        longest=options.whole("data.max_length", 1024, 1),
        too_long=_too_long(options),
        turns="by the chat template that is given"
        if any(map(options.said, TEMPLATES))
        else "by the model's own template",
        because={
            "long rows": options.by("data.max_length", "data.truncation"),
            "turns": options.by(*[key for key in TEMPLATES if options.said(key)] or TEMPLATES),
            "global batch": options.by(
                "data.train_batch_size", "data.micro_batch_size_per_gpu", "data.use_dynamic_bsz"
            ),
            "length": options.by("trainer.total_training_steps", "trainer.total_epochs"),
            "learning rate": options.by("optim.lr"),
            "schedule": options.by(
                "optim.lr_scheduler", "optim.lr_scheduler_type", "optim.lr_warmup_steps_ratio", "optim.lr_warmup_steps"
            ),
            "clipping": options.by("optim.clip_grad"),
            "optimizer": options.by("optim.betas", "optim.optimizer"),
            "decay": f"{options.by('optim.weight_decay')}; verl makes one group of all parameters",
            "dtypes": options.by("model.fsdp_config.model_dtype")
            if old
            else options.by("engine.model_dtype", "engine.mixed_precision"),
            "trained": "the turns of the assistant in data.messages_key, or the answer in its column",
            "aggregation": "what verl says of itself: a mean over the tokens of the global batch",
        },
        not_covered=tuple(missing),
        odd=tuple(odd),
        refused=tuple(refused),
    )


def truncation(options: Options) -> str:
    """What becomes of a row that is too long: "error", "left" or "right"."""
    return str(options.value("data.truncation", "error"))


def _too_long(options: Options) -> str:
    most, how = options.whole("data.max_length", 1024, 1), truncation(options)
    if how == "error":
        return f"the training ends at one of more than {most} tokens"
    at_beginning = how == "left" and (is_old(options.configuration) or _pads(options))
    return f"cut to {most} tokens, at the {'beginning' if at_beginning else 'end'}"


def _pads(options: Options) -> bool:
    """Whether the newer trainer fills rows up: where it does not, it cuts each at its end, whatever it is told."""
    return str(options.value("data.pad_mode", "no_padding")) != "no_padding"


def _optimizer(options: Options, old: bool, missing: list[str]) -> Optimizer:
    betas = options.value("optim.betas", [0.9, 0.95])
    if not (isinstance(betas, list) and len(betas) == 2):
        raise BadConfiguration("optim.betas are no two numbers")
    beta1, beta2 = (read.number(one, "optim.betas") for one in betas)
    return Optimizer(
        learning_rate=options.rate("optim.lr", 1e-5),
        beta1=beta1,
        beta2=beta2,
        weight_decay=options.number("optim.weight_decay", 0.01),
        decayed="all",
        max_grad_norm=_limit(options),
        schedule=_schedule(options, old, missing),
    )


def _limit(options: Options) -> float | None:
    """Infinity is how verl is told not to clip."""
    said = str(options.value("optim.clip_grad", 1.0)).lower()
    return None if said in ("inf", ".inf", "+inf", "infinity") else options.limit("optim.clip_grad", 1.0)


def _flash(options: Options, old: bool) -> bool:
    """Whether flash attention is asked for where no option says so."""
    return old or options.configuration.value("model.override_config.attn_implementation") is None


def _odd(options: Options, old: bool, steps: int | None) -> list[str]:
    found = []
    if old and steps is not None:
        found.append(
            "trainer.total_training_steps ends the training, and the schedule is over all of trainer.total_epochs"
            " (fsdp_sft_trainer.py)"
        )
    if not old and truncation(options) == "left" and not _pads(options):
        found.append(
            "data.truncation=left has no effect with data.pad_mode=no_padding: verl keeps the beginning of a row"
        )
    if _limit(options) is None and options.value("optim.clip_grad") == 0:
        found.append("optim.clip_grad is 0, by which verl makes every gradient 0; inf is no clipping")
    return found


def _schedule(options: Options, old: bool, missing: list[str]) -> Schedule:
    """utils/torch_functional.py. A ratio is rounded down to steps there, and up here: where that differs is said."""
    steps = options.number("optim.lr_warmup_steps", -1)
    before = "optim.warmup_steps_ratio"  # up to 0.5
    named = before if options.said(before) else "optim.lr_warmup_steps_ratio"
    ratio = options.share(named, float(options.value(before, 0.0)))
    rising = Schedule(warmup_steps=int(steps)) if steps > 0 else Schedule(warmup_ratio=ratio)
    rising = replace(rising, warmup_from="zero") if steps > 0 or ratio else Schedule()
    kind = str(
        options.value("optim.lr_scheduler", "cosine") if old else options.value("optim.lr_scheduler_type", "constant")
    )
    if kind == "constant":
        return rising
    if kind == "cosine":
        least: Any = 0.0 if old else options.number("optim.min_lr_ratio", 0.0)
        return replace(rising, decay="cosine", least=least)
    missing.append(f"the schedule {kind}, which no intent says: its rates are not told")
    return Schedule()


def _precision(options: Options, old: bool) -> Precision:
    """FSDP's: float32 weights that are computed with in bf16, and reduced in float32, unless told otherwise."""
    given = {
        key: options.configuration.value(f"engine.mixed_precision.{key}") for key in ("param_dtype", "reduce_dtype")
    }
    whole = options.configuration.value("engine.mixed_precision")
    given |= whole if isinstance(whole, Mapping) else {}
    compute: Any = {"fp32": "fp32", "float32": "fp32", "fp16": "fp16"}.get(str(given.get("param_dtype")), "bf16")
    reduction: Any = "bf16" if str(given.get("reduce_dtype")) in ("bf16", "bfloat16") else "fp32"
    held = str(options.value("model.fsdp_config.model_dtype" if old else "engine.model_dtype", "fp32"))
    coarse = held in ("bf16", "bfloat16")
    return Precision(compute, "bf16" if coarse else "fp32", "none" if coarse else "fp32", reduction)

"""OpenRLHF: `openrlhf.cli.train_sft`, with the flat flags of before 0.10.2 or the dotted ones since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.contract import Optimizer, Schedule
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration
from harness.validation.step import effective, schedules
from harness.validation.step.effective import Effective, Precision

PACKAGES = ("openrlhf",)
PROGRAMS = ("openrlhf.cli.train_sft", "openrlhf/cli/train_sft.py")
DOTTED: Mapping[str, str] = {
    "train_batch_size": "train.batch_size",
    "micro_train_batch_size": "train.micro_batch_size",
    "max_epochs": "train.max_epochs",
    "learning_rate": "adam.lr",
    "adam_betas": "adam.betas",
    "l2": "adam.weight_decay",
    "param_dtype": "ds.param_dtype",
    "aux_loss_coef": "model.aux_loss_coef",
    "pretrain_mode": "model.pretrain_mode_enable",
    "multiturn": "data.multiturn",
    "apply_chat_template": "data.apply_chat_template",
    "tokenizer_chat_template": "data.tokenizer_chat_template",
    "input_template": "data.input_template",
    "output_key": "data.output_key",
    "input_key": "data.input_key",
    "pretrain": "model.model_name_or_path",
    "dataset": "data.dataset",
    "dataset_probs": "data.dataset_probs",
    "max_samples": "data.max_samples",
    "max_len": "data.max_len",
    "zero_stage": "ds.zero_stage",
    "adam_offload": "ds.adam_offload",
    "attn_implementation": "ds.attn_implementation",
    "packing_samples": "ds.packing_samples",
}
"""By the flat name."""


def names(configuration: Configuration) -> Mapping[str, str]:
    """What its flags are called."""
    return DOTTED if any("." in setting.key for setting in configuration.settings) else {}


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    dotted = bool(options.names)
    micro = options.whole("micro_train_batch_size", 8, 1)
    sequences = options.whole("train_batch_size", 128, 1)
    refused = []
    accumulation = None
    if ranks:
        accumulation, over = divmod(sequences, micro * ranks)
        if over or not accumulation:
            said = (
                f"train_batch_size {sequences} is not a multiple of micro_train_batch_size {micro} times {ranks} ranks"
            )
            refused.append(f"{said}, which DeepSpeed refuses")
    kind = str(options.value("lr_scheduler", "cosine_with_min_lr"))
    missing: list[str] = []
    name = str(options.value("optim", "adam"))
    return Effective(
        micro_batch_size=micro,
        accumulation=accumulation or None,
        ranks=ranks,
        strange=None if name == "adam" else name,
        sequences=sequences,
        optimizer=_optimizer(options, kind, dotted, missing),
        epochs=options.number("max_epochs", 2.0),
        by_batch=True,
        by_epochs=True,
        trained="everything"
        if options.truth("pretrain_mode")
        else "responses"
        if _every_turn(options)
        else "last-answer",
        precision=_precision(options),
        longest=options.whole("max_len", 2048, 1),
        too_long=f"cut to {options.whole('max_len', 2048, 1)} tokens; left out where the question alone is as long",
        turns=_turns(options),
        auxiliary=options.number("aux_loss_coef", 0.0),
        because={
            "global batch": options.by("train_batch_size", "micro_train_batch_size"),
            "length": options.by("max_epochs"),
            "learning rate": options.by("learning_rate"),
            "schedule": options.by("lr_scheduler", "lr_warmup_ratio", "min_lr_ratio"),
            "clipping": options.by("max_norm"),
            "optimizer": options.by("optim", "adam_betas"),
            "decay": options.by("l2"),
            "dtypes": options.by("param_dtype", "bf16"),
            "trained": options.by("pretrain_mode", "multiturn"),
            "long rows": options.by("max_len"),
            "turns": options.by("apply_chat_template", "tokenizer_chat_template", "input_template"),
            "aggregation": "what OpenRLHF says of itself since 0.10.4: a mean over the tokens of the global batch",
        },
        not_covered=tuple(missing),
        refused=tuple(refused),
    )


def _every_turn(options: Options) -> bool:
    """With an answer in a column of its own there is one turn."""
    return options.truth("multiturn") or options.said("output_key") or not options.truth("apply_chat_template")


def _turns(options: Options) -> str:
    if options.truth("apply_chat_template") and not options.truth("pretrain_mode"):
        return (
            "by the chat template that is given"
            if options.said("tokenizer_chat_template")
            else "by the model's own template"
        )
    return effective.PLAIN


def _optimizer(options: Options, kind: str, dotted: bool, missing: list[str]) -> Optimizer:
    rate = options.rate("learning_rate", 5e-6)
    least = options.number("min_lr_ratio", 0.1) if dotted else 0.1
    rising = Schedule(warmup_ratio=options.share("lr_warmup_ratio", 0.03))
    schedule = schedules.of_transformers(kind, {"min_lr_rate": least}, rate, rising)
    if schedule is None:
        missing.append(f"the schedule {kind}, which no intent says: its rates are not told")
    betas = options.value("adam_betas", [0.9, 0.95])
    beta1, beta2 = (_beta(one) for one in (betas if isinstance(betas, list) and len(betas) == 2 else [None, None]))
    return Optimizer(
        learning_rate=rate,
        beta1=beta1,
        beta2=beta2,
        weight_decay=options.number("l2", 0.0),
        max_grad_norm=options.limit("max_norm", 1.0),
        schedule=schedule or Schedule(),
        given_in="engine" if dotted else "options",
    )


def _beta(value: Any) -> float:
    if isinstance(value, int | float) and 0 <= value < 1:
        return float(value)
    raise BadConfiguration("adam_betas are no two numbers from 0 to less than 1")


def _precision(options: Options) -> Precision:
    """DeepSpeed's: weights of the precision, float32 ones beside them. Before 0.9.2 by --bf16."""
    told = str(options.value("param_dtype", "bf16" if options.truth("bf16") else "fp32"))
    if options.said("bf16") and options.truth("bf16"):
        told = "bf16"
    return Precision("fp16", "fp16") if told == "fp16" else Precision("bf16", "bf16") if told == "bf16" else Precision()

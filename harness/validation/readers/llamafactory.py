"""LLaMA-Factory: `llamafactory-cli train FILE KEY=VALUE`, whose arguments are the Trainer's and its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.contract import Group
from harness.intent.intent import TokenLoss, Trained
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read import redaction
from harness.validation.readers import trainer
from harness.validation.step.effective import Effective, Precision

PACKAGES = ("llamafactory",)
NAMES: Mapping[str, str] = {}
OWN = ("stage", "finetuning_type", "cutoff_len")
OPTIMIZERS = ("use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_muon")
PROGRAMS = ("llamafactory-cli train", "lmf train", "src/train.py", "llamafactory.launcher")


def is_file(values: Mapping[str, Any]) -> bool:
    """Whether a file's keys are its own."""
    return any(key in values for key in OWN)


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    found = trainer.step(options, below, ranks)
    missing = list(found.not_covered)
    stage = str(options.value("stage", "sft"))
    if stage != "sft":
        missing.append(f"the stage {stage}: Lockstep knows supervised fine-tuning alone")
    other = next((key for key in OPTIMIZERS if options.truth(key)), found.strange)
    if ratio := options.number("loraplus_lr_ratio", 0.0):
        found = replace(found, optimizer=replace(found.optimizer, groups=(Group(("*lora_B*",), ratio),)))
    if options.truth("use_dft_loss"):
        found = replace(found, token_loss=TokenLoss(by_probability=True))
    answers = options.truth("mask_history")
    trained: Trained = "everything" if options.truth("train_on_prompt") else "last-answer" if answers else "responses"
    because = {
        **found.because,
        "trained": options.by("train_on_prompt", "mask_history"),
        "token loss": options.by("use_dft_loss", "label_smoothing_factor"),
        "long rows": options.by("cutoff_len"),
        "turns": options.by("template"),
    }
    most, template = options.whole("cutoff_len", 2048, 1), redaction.line(str(options.value("template", "")), 40)
    return replace(
        found,
        trained=trained,
        precision=_precision(found, options),
        strange=other,
        because=because,
        not_covered=tuple(missing),
        longest=most,
        too_long=f"cut to {most} tokens, questions and answers by their share",
        turns=f"by the template {template} of LLaMA-Factory" if template else "by the model's own template",
    )


def _precision(found: Effective, options: Options) -> Precision:
    """What is trained is cast to float32 unless `pure_bf16` (model/adapter.py)."""
    if options.configuration.deepspeed is not None and found.precision.compute != "fp32":
        return found.precision
    if options.truth("pure_bf16"):
        return Precision("bf16", "bf16", "none")
    return replace(found.precision, weights="fp32", masters="fp32")

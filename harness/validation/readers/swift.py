"""ms-swift: `swift sft --options`, the Trainer's with defaults of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.intent.intent import TokenLoss
from harness.validation.known.options import Options
from harness.validation.known.releases import Release
from harness.validation.read.configuration import Setting
from harness.validation.readers import trainer
from harness.validation.step.effective import Effective

PACKAGES = ("ms-swift",)
NAMES: Mapping[str, str] = {}
PROGRAMS = ("swift sft", "swift.cli.sft")
DEFAULTS = "the defaults of ms-swift"
TOGETHER = 16
"""Sequences of the global batch, where nothing is said of accumulation (arguments/sft_args.py)."""


def step(options: Options, below: Release | None, ranks: int | None) -> Effective:
    """Raises BadConfiguration."""
    settings = [*options.configuration.settings]
    if options.value("learning_rate") is None:
        full = options.value("tuner_type", options.value("train_type", "lora")) == "full"
        settings.append(Setting("learning_rate", 1e-5 if full else 1e-4, DEFAULTS, default=True))
    loaded = str(options.value("torch_dtype", "bfloat16"))
    if not options.configuration.has("bf16", "fp16"):
        settings.append(Setting("bf16", loaded == "bfloat16", DEFAULTS, default=True))
        settings.append(Setting("fp16", loaded == "float16", DEFAULTS, default=True))
    told = options.value("gradient_accumulation_steps") is not None
    configuration = replace(options.configuration, settings=tuple(settings))
    found = trainer.step(replace(options, configuration=configuration), below, ranks)
    if not told:
        each = found.micro_batch_size * ranks if ranks else None
        accumulation = -(-TOGETHER // each) if each else None
        found = replace(
            found, accumulation=accumulation, sequences=each * accumulation if each and accumulation else None
        )
    because = {**found.because, "trained": options.by("loss_scale"), "token loss": options.by("enable_dft_loss")}
    if options.truth("enable_dft_loss"):
        found = replace(found, token_loss=TokenLoss(by_probability=True))
    everything = str(options.value("loss_scale", "default")).split("+")[0] == "all"
    return replace(found, trained="everything" if everything else "responses", because=because)

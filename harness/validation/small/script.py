"""The Trainer's arguments of a script of the user's own, under a plain Trainer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from packaging.version import Version

from harness.validation.known.options import Options
from harness.validation.read.configuration import truth
from harness.validation.small import own, rows, trainer
from harness.validation.small.kept import Kept
from harness.validation.small.own import Column
from harness.validation.small.place import Place, Small
from harness.validation.small.runs import Run

FRAMEWORK = "trl"
PROGRAM = "adapters.given.plain_trainer"
FILE, DATA = "train.json", "rows.jsonl"
LORA = {
    "lora_r": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "lora_rank": "r",
    "lora_target_modules": "target_modules",
}  # fmt: skip
PARTS = ("prompt", "completion")
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
DTYPE_SINCE = Version("4.56")
"""Of transformers: the name of what a model is loaded in."""


def small(kept: Kept, run: Run, place: Place) -> Small:
    """As `plain_trainer FILE` reads it."""
    found = {key: True if value == "auto" else value for key, value in trainer.arguments(kept, run).items()}
    held = run.step.precision
    plain = held.weights if kept.configuration.deepspeed is None else held.compute
    modern = kept.release is not None and Version(kept.release.version) >= DTYPE_SINCE
    told: dict[str, Any] = {
        "arguments": {
            key: value for key, value in found.items() if key in (*trainer.QUIET, *trainer.ON_A_CPU) or kept.has(key)
        },
        "model": str(place.model),
        "dtype": ["dtype" if modern else "torch_dtype", DTYPES[plain]],
        "rows": DATA,
        "longest": run.length,
        "lora": lora(kept),
    }
    named = columns(Options(kept.configuration, kept.release, {}))
    made = own.of_run(kept, run, lambda: named, 1, lambda one: dict(zip(PARTS, one[0], strict=True)), False)
    told_rows = [dict(zip(PARTS, own.turn(each, named), strict=True)) for each in made] if named else made
    spaced = [{**each, PARTS[0]: each[PARTS[0]] + " "} for each in told_rows]
    return Small(
        trainer.given(kept, run, FRAMEWORK, PROGRAM, (FILE,)),
        {FILE: json.dumps(told), DATA: rows.lines(spaced)},
    )


def columns(options: Options) -> Sequence[Column]:
    """Of the user's own rows, by their usual names: what the script reads itself nobody knows. None without such."""
    data = options.configuration.data
    return own.usual(data) if data is not None and data.rows else []


def lora(kept: Kept) -> dict[str, Any]:
    """Low-rank updates, where the script's options ask for them by the names that most scripts have."""
    values = {setting.key: setting.value for setting in kept.configuration.settings}
    named = any(truth(values.get(key)) for key in ("use_lora", "lora_enable", "lora_r"))
    if values.get("adapter") != "lora" and not named:
        return {}
    all_linear = {"target_modules": "all-linear"} if truth(values.get("lora_target_linear")) else {}
    return {**{LORA[key]: values[key] for key in LORA if key in values}, **all_linear}

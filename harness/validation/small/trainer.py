"""Arguments of the Trainer of transformers in a small run, whatever framework has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from adapters.contract import Given, Sharded
from harness.validation.small import engine
from harness.validation.small.kept import Kept
from harness.validation.small.runs import Run
from harness.validation.step import spread

PLACES = ("deepspeed", "fsdp", "fsdp_config", "num_train_epochs", "max_steps", "do_train")
"""That are given anew."""
WARMUP = ("warmup_steps", "warmup_ratio")
QUIET: Mapping[str, Any] = {
    "output_dir": "out", "report_to": "none", "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True,
}  # fmt: skip
ON_A_CPU: Mapping[str, Any] = {"use_cpu": True, "ddp_backend": "gloo", "dataloader_pin_memory": False}


def arguments(kept: Kept, run: Run) -> dict[str, Any]:
    """They."""
    found = {key: value for key, value in kept.values.items() if key not in PLACES}
    found |= {
        **QUIET,
        **({} if kept.configuration.machine.cuda else ON_A_CPU),
        "gradient_accumulation_steps": run.accumulation,
    }
    found |= {"max_steps": run.horizon} if run.epochs is None else {"num_train_epochs": run.epochs}
    said = found.keys() & set(WARMUP)
    if run.scaled and said and (steps := run.step.optimizer.schedule.warmup_steps):
        # of eight steps, a ratio would be rounded by whatever has it
        found = {key: value for key, value in found.items() if key not in said} | {"warmup_steps": steps}
    if run.lifted is not None:
        found["max_grad_norm"] = run.lifted
    if kept.configuration.deepspeed is not None:
        found["deepspeed"] = engine.configured(kept.configuration.deepspeed, run, kept.configuration.machine)
    elif (sharded := fully_sharded(kept)) != "none":
        version = {"fsdp": 2, "fsdp1": 1}[sharded]
        found |= {"fsdp": "full_shard auto_wrap", "fsdp_config": {"fsdp_version": version, "sync_module_states": False}}
    return found


def text(found: Mapping[str, Any]) -> str:
    """As YAML, in which JSON's 1e-05 would be a text."""
    return str(yaml.safe_dump(dict(found), sort_keys=False))


def given(kept: Kept, run: Run, framework: str, program: str, words: tuple[str, ...]) -> Given:
    """How it is started."""
    told = kept.configuration.deepspeed
    return Given(
        framework=framework,
        program=program,
        words=words,
        steps=run.steps,
        stage=None if told is None else engine.stage(told),
        compute=run.step.precision.compute,
        sharded=fully_sharded(kept),
        device=kept.configuration.machine.device,
        liger=kept.liger,
    )


def fully_sharded(kept: Kept) -> Sharded:
    """By which FSDP; by none under DeepSpeed."""
    return "none" if kept.configuration.deepspeed is not None else spread.of_torch(kept.configuration)

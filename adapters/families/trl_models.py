"""The model that a trainer of TRL's is handed, and how it loads one by itself."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM

from adapters.contract import Job, Scenario, fields_of
from adapters.families import hf_lora, hf_trainer
from adapters.inside import lora, modeling
from adapters.inside.model import DTYPE


def model(job: Job) -> Any:
    """The checkpoint's folder, or the model itself where some of it is frozen or it has low-rank updates, which begin
    as an adapter in a folder says."""
    wanted = job.scenario.model
    if wanted.lora is None and not wanted.frozen:
        return job.checkpoint
    made = AutoModelForCausalLM.from_pretrained(job.checkpoint, **{DTYPE: "float32"}, **kernels(job.scenario))
    lora.freeze(made, wanted)
    if wanted.lora is not None:
        from peft import PeftModel  # before 1.16 no part of TRL's environment unless it is asked for

        made = PeftModel.from_pretrained(made, hf_lora.folder(job), is_trainable=True)
    return made


def kernels(scenario: Scenario) -> dict[str, str]:
    """Of attention, where the scenario says which."""
    flash = scenario.model.attention == "flash"
    return {"attn_implementation": modeling.attention_of(scenario)} if flash else {}


def options(scenario: Scenario) -> dict[str, Any]:
    """What a trainer that is handed the checkpoint's folder is told of it."""
    if scenario.model.lora is not None or scenario.model.frozen:
        return {}
    return {"model_init_kwargs": {DTYPE: hf_trainer.loaded_in(scenario)} | kernels(scenario)}


NOT_YET = (*("model.lora", "model.frozen", "model.compiled", "tokenizer.processor", "sharding.strategy"),)
"""What TRL's trainers of preferences and rewards have not been driven with."""


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """The first of these that is asked for; None if there is none."""
    asked = (path for path, value, default in fields_of(scenario) if path in NOT_YET and value != default)
    found, method = next(asked, None), scenario.objective.method
    return found and f"{framework} has no {found} with objective.method={method!r} yet"

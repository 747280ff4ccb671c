"""What frameworks on peft share: the adapter that a scenario begins with, and parameters by their names there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from adapters.contract import Job, Scenario
from adapters.inside.lora import FOLDER
from adapters.inside.recorder import bare_name

_PARTS = ("base_layer", "default", "modules_to_save")
"""What peft puts around a module, or between it and its parameters; `default` is the adapter's name."""
_KEPT_ASIDE = {"original_module", "ref_adapter"}
"""The copy that peft keeps of a module that is trained whole, and the adapter that ms-swift holds another to."""


def unsupported(scenario: Scenario, framework: str) -> str | None:
    """Why this environment has no low-rank updates; None if it has, or if nobody wants any."""
    if scenario.model.lora is None or find_spec("peft") is not None:
        return None
    return f"{framework}: model.lora needs peft, which is not installed; ask for it, as in trl==1.0.0,peft==0.18.1"


def folder(job: Job) -> str:
    """What `PeftModel.from_pretrained` reads."""
    return str(Path(job.checkpoint) / FOLDER)


def named(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Every parameter by the name that it has in the checkpoint, or in the adapter's files."""
    every = {name: p for name, p in model.named_parameters() if not _KEPT_ASIDE & set(name.split("."))}
    return {_bare(name): p for name, p in every.items()}


def _bare(name: str) -> str:
    parts = bare_name(name).split(".")
    if parts[:2] == ["base_model", "model"]:
        parts = [part for part in parts[2:] if part not in _PARTS]
    return ".".join(parts)

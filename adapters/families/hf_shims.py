"""What the Trainer of Hugging Face needs on a CPU."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import Trainer

from adapters.contract import Scenario, Shim

NUMBERED_CPU = Shim(
    "numbered-cpu",
    "accelerate numbers the CPU of each of several ranks (PartialState.set_device in state.py), and older releases of"
    " transformers load an optimizer's checkpoint there (_load_optimizer_and_scheduler in trainer.py), where torch.load"
    " knows one CPU: by torch's own register_package it takes any number for that one",
)


def needed(scenario: Scenario) -> list[Shim]:
    """What this release of transformers needs changed for this scenario."""
    several = scenario.device == "cpu" and scenario.window.ranks > 1
    plain = scenario.sharding.strategy == "none"
    numbered = "map_location = self.args.device if" in inspect.getsource(Trainer._load_optimizer_and_scheduler)
    return [NUMBERED_CPU] if scenario.window.resume_after and several and plain and numbered else []


def apply(shims: list[Shim]) -> None:
    """Make the changes in this process."""
    if NUMBERED_CPU in shims:
        torch.serialization.register_package(0, lambda _: None, _on_the_cpu)


def _on_the_cpu(storage: Any, location: str) -> Any:
    """The storage as it is, if it is meant for a CPU of any number; else None, which lets torch look elsewhere."""
    return storage if location.startswith("cpu:") else None

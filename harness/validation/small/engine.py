"""DeepSpeed's configuration of a small run: the user's own, but for what a CPU has not got and what counts steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from harness.validation.read.configuration import Companion
from harness.validation.read.machine import Machine
from harness.validation.small.runs import Run

COUNTED = ("train_batch_size", "train_micro_batch_size_per_gpu")
_ADAMS = ("adam", "adamw")


def configured(told: Companion, run: Run, machine: Machine) -> dict[str, Any]:
    """As the Trainer is given it."""
    found: dict[str, Any] = copy.deepcopy(dict(told.values))
    found |= {key: "auto" for key in COUNTED if key in found}
    if isinstance(found.get("gradient_accumulation_steps"), int):
        found["gradient_accumulation_steps"] = run.accumulation
    found["steps_per_print"] = 10**9
    if run.lifted is not None and found.get("gradient_clipping") != "auto":
        found["gradient_clipping"] = run.lifted
    if not machine.cuda:
        _on_the_cpu(found)
    if run.scaled:
        _scale(found, run)
    return found


def stage(told: Companion) -> int:
    """Of ZeRO."""
    said = told.at("zero_optimization.stage")
    return said if isinstance(said, int) else 0


def _on_the_cpu(found: dict[str, Any]) -> None:
    found |= {"zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False}
    section = found.get("optimizer")
    if isinstance(section, Mapping) and str(section.get("type")).lower() in _ADAMS:
        # DeepSpeed's own would be compiled for minutes; torch's is an option of this section
        found["optimizer"] = {**section, "params": {**(section.get("params") or {}), "torch_adam": True}}
    zero = found.get("zero_optimization")
    if not isinstance(zero, dict):
        return
    for name in ("offload_optimizer", "offload_param"):
        place = zero.get(name)
        if isinstance(place, Mapping) and place.get("device") not in (None, "none"):
            zero[name] = {"device": "cpu"}


def _scale(found: dict[str, Any], run: Run) -> None:
    """Its scheduler, over the steps of the run."""
    section = found.get("scheduler")
    params = section.get("params") if isinstance(section, Mapping) else None
    if not isinstance(params, dict):
        return
    numbers = {"warmup_num_steps": run.step.optimizer.schedule.warmup_steps, "total_num_steps": run.horizon}
    params |= {key: value for key, value in numbers.items() if isinstance(params.get(key), int)}

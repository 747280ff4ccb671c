"""An optimizer and a schedule that are given in DeepSpeed's configuration: its sections `optimizer` and `scheduler`.

Nothing here imports DeepSpeed.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from adapters.contract import Scenario

SECTIONS = "deepspeed/runtime/engine.py and lr_schedules.py"


def unsupported(scenario: Scenario) -> str | None:
    """What of a scenario that gives them there DeepSpeed's sections cannot say; None if there is nothing."""
    rule = scenario.optimizer
    if rule.given_in == "options":
        return None
    if rule.weight_decay and rule.decayed != "all":
        return f"given_in='engine' with decay of all parameters only, for it makes one group of them ({SECTIONS})"
    if (why := own_adam_is_missing(scenario)) is not None:
        return why
    if rule.groups:
        return f"no optimizer.groups with given_in='engine', which makes one group of all parameters ({SECTIONS})"
    return None if rule.schedule.constant else _unsupported_schedule(scenario)


def own_adam_is_missing(scenario: Scenario) -> str | None:
    """Why DeepSpeed's own Adam cannot be had here, if it is wanted; None otherwise."""
    if not scenario.optimizer.fused:
        return None
    if scenario.device == "cpu":
        return "no optimizer.fused=True on a CPU: its own Adam needs CUDA, and minutes of compiling (ops/adam)"
    # where torch looks for it (torch/utils/cpp_extension.py)
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    if shutil.which("nvcc") is None and not os.access(f"{home}/bin/nvcc", os.X_OK):
        return "no optimizer.fused=True without nvcc, which compiles its own Adam at first use (ops/op_builder)"
    return None


def _unsupported_schedule(scenario: Scenario) -> str | None:
    told, steps = scenario.optimizer.schedule, scenario.window.steps
    if told.warmup(steps) < 2 or told.warmup_from != "zero":
        return f"schedules with given_in='engine' that warm up from 0, in two steps or more, only ({SECTIONS})"
    if told.stable_steps or told.decay not in ("none", "linear", "cosine"):
        return f"no schedule.decay={told.decay!r} or stretch before it with given_in='engine' ({SECTIONS})"
    if told.decay == "linear" and (told.least or told.least_at != "after"):
        return f"a linear fall to 0 only with given_in='engine' (WarmupDecayLR in {SECTIONS})"
    if told.decay == "cosine" and told.least_at != "last":
        return (
            f"a cosine with its least rate in the last step only with given_in='engine' (WarmupCosineLR in {SECTIONS})"
        )
    return None


def sections(scenario: Scenario, auto: bool) -> dict[str, Any]:
    """Both, where the scenario gives them there. auto: what else the Trainer's arguments say is left to them."""
    rule = scenario.optimizer
    if rule.given_in == "options":
        return {}
    found: dict[str, Any] = {"optimizer": _optimizer(scenario, auto)}
    if not rule.schedule.constant:
        found["scheduler"] = _scheduler(scenario, auto)
    return found


def _optimizer(scenario: Scenario, auto: bool) -> dict[str, Any]:
    rule = scenario.optimizer
    said: dict[str, Any] = {"lr": rule.learning_rate, "weight_decay": rule.weight_decay}
    if rule.kind == "sgd":
        return {"type": "SGD", "params": {**said, "momentum": rule.momentum}}
    if rule.kind == "adagrad":
        return {"type": "Adagrad", "params": {**said, "eps": rule.eps}}
    if rule.kind == "rmsprop":
        return {"type": "RMSprop", "params": {**said, "alpha": rule.alpha, "eps": rule.eps}}
    said |= {"betas": [rule.beta1, rule.beta2], "eps": rule.eps}
    params = dict.fromkeys(said, "auto") if auto else said
    # DeepSpeed's own Adam is compiled for minutes: torch's is an option of this section
    return {"type": "AdamW", "params": {**params, "torch_adam": not rule.fused}}


def _scheduler(scenario: Scenario, auto: bool) -> dict[str, Any]:
    """Their warm-ups are logarithmic unless `warmup_type` says otherwise."""
    told, steps = scenario.optimizer.schedule, scenario.window.steps
    shape = {"warmup_type": told.warmup_shape, "warmup_num_steps": told.warmup(steps)}
    rise = {"warmup_min_lr": 0.0, "warmup_max_lr": "auto" if auto else scenario.optimizer.learning_rate}
    if told.decay == "none":
        return {"type": "WarmupLR", "params": {**rise, **shape}}
    total = {"total_num_steps": told.span(steps)}
    if told.decay == "linear":
        return {"type": "WarmupDecayLR", "params": {**rise, **shape, **total}}
    return {"type": "WarmupCosineLR", "params": {**shape, **total, "cos_min_ratio": told.least}}

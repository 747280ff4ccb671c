"""Schedules by the names that frameworks give them, as those that an intent knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.contract import Schedule
from harness.intent.schedule import Decay
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import number, whole

LOWEST = 1e-7
"""What a polynomial fall of transformers ends with."""


def of_transformers(kind: str, given: Any, rate: float, warmup: Schedule) -> Schedule | None:
    """The one that `get_scheduler` (transformers/optimization.py) makes; None for one that no intent knows.

    warmup: its `warmup_steps` or `warmup_ratio`. Raises BadConfiguration.
    """
    extra = given if isinstance(given, Mapping) else {}
    rising = replace(warmup, warmup_from="zero") if warmup.warmup_steps or warmup.warmup_ratio else Schedule()
    if kind == "constant":
        return Schedule()
    if kind == "constant_with_warmup":
        return rising
    if kind == "linear":
        return replace(rising, decay="linear")
    if kind == "cosine" or (kind == "cosine_with_restarts" and number(extra.get("num_cycles", 1), "num_cycles") == 1):
        half = kind != "cosine" or number(extra.get("num_cycles", 0.5), "num_cycles") == 0.5
        return replace(rising, decay="cosine") if half else None
    if kind in ("cosine_with_min_lr", "cosine_warmup_with_min_lr"):
        falling = replace(rising, decay="cosine", least=_least(extra, rate))
        first = kind == "cosine_warmup_with_min_lr"
        return replace(falling, warmup_from="first", least_at="last") if first else falling
    if kind == "polynomial":
        least = number(extra.get("lr_end", LOWEST), "lr_end") / rate
        return replace(rising, decay="polynomial", least=min(1.0, least), power=number(extra.get("power", 1), "power"))
    if kind == "warmup_stable_decay":
        return _stretched(extra, rising)
    return None


def _least(extra: Mapping[str, Any], rate: float) -> float:
    if extra.get("min_lr_rate") is not None:
        return _share(number(extra["min_lr_rate"], "min_lr_rate"), "min_lr_rate")
    if extra.get("min_lr") is None:
        raise BadConfiguration(
            "lr_scheduler_kwargs has neither min_lr nor min_lr_rate, which a schedule with a least needs"
        )
    return _share(number(extra["min_lr"], "min_lr") / rate, "min_lr")


def _share(value: float, key: str) -> float:
    if not 0 <= value <= 1:
        raise BadConfiguration(f"{key} is {value:g} of the learning rate, expected 0 to 1")
    return value


_FALLS: Mapping[str, Decay] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "one-minus-sqrt"}
"""Of `warmup_stable_decay`."""


def _stretched(extra: Mapping[str, Any], rising: Schedule) -> Schedule | None:
    """Only one whose phases are all said: what is stable, what falls."""
    falls = _FALLS.get(str(extra.get("decay_type", "cosine")))
    if falls is None or "num_decay_steps" not in extra or "num_stable_steps" not in extra or rising.warmup_ratio:
        return None
    stable, falling = (whole(extra[name], name) for name in ("num_stable_steps", "num_decay_steps"))
    if not falling:
        return None
    least = _share(number(extra.get("min_lr_ratio", 0), "min_lr_ratio"), "min_lr_ratio")
    ends = rising.warmup_steps + stable + falling
    phases = replace(rising, stable_steps=stable, horizon=ends, least=least, decay=falls)
    return replace(phases, warmup_from="least") if rising.warmup_steps else phases


def of_deepspeed(kind: str, params: Mapping[str, Any], warmup: Schedule) -> Schedule | None:
    """The one of DeepSpeed's section `scheduler` (deepspeed/runtime/lr_schedules.py); None for one that is not known.

    warmup: what the Trainer fills in for `auto`. Raises BadConfiguration.
    """
    said = params.get("warmup_num_steps", 1000)
    rising = warmup if said == "auto" else Schedule(warmup_steps=max(2, whole(said, "warmup_num_steps")))
    if not rising.warmup_steps and not rising.warmup_ratio:
        rising = Schedule(warmup_steps=2)  # never fewer
    linear = params.get("warmup_type", "log") == "linear"
    rising = replace(rising, warmup_from="zero", warmup_shape="linear" if linear else "log")
    total = params.get("total_num_steps", "auto")
    ends = 0 if total == "auto" else whole(total, "total_num_steps", 1)
    least = number(params.get("warmup_min_lr", 0) if params.get("warmup_min_lr") != "auto" else 0, "warmup_min_lr")
    if least:
        return None
    if kind == "WarmupLR":
        return rising
    if kind == "WarmupDecayLR":
        return replace(rising, decay="linear", horizon=ends)
    if kind == "WarmupCosineLR" and not number(params.get("warmup_min_ratio", 0), "warmup_min_ratio"):
        lowest = _share(number(params.get("cos_min_ratio", 0.0001), "cos_min_ratio"), "cos_min_ratio")
        return replace(rising, decay="cosine", horizon=ends, least=lowest, least_at="last")
    return None

"""How a configuration spreads a step over its ranks: by DeepSpeed's stages, or by PyTorch's own ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.contract import Sharded, Strategy
from harness.validation.known.options import Options
from harness.validation.read.configuration import Configuration, truth

STAGES: tuple[Strategy, ...] = ("none", "zero1", "zero2", "zero3")


@dataclass(frozen=True)
class Spread:
    """How a step is spread over ranks."""

    engine: bool
    """Whether by DeepSpeed."""
    strategy: Strategy | None
    """None where nobody knows, such as for a file that was not given."""
    offload: bool = False
    """Whether the optimizer is on the CPU."""


def of(options: Options) -> Spread:
    """That of a configuration."""
    configuration = options.configuration
    if configuration.family == "openrlhf":
        return Spread(True, _stage(options.value("zero_stage", 2)), options.truth("adam_offload"))
    if configuration.family == "verl":
        return Spread(False, None)
    engine = configuration.deepspeed
    if engine is not None:
        zero = "zero_optimization"
        device = engine.at(f"{zero}.offload_optimizer.device")
        offload = device not in (None, "none") or truth(engine.at(f"{zero}.cpu_offload"))
        return Spread(True, _stage(engine.at(f"{zero}.stage") or 0), offload)
    if truth(configuration.value("deepspeed")):
        return Spread(True, None)
    return Spread(False, of_torch(configuration))


def _stage(value: object) -> Strategy | None:
    return STAGES[int(str(value))] if str(value) in ("0", "1", "2", "3") else None


def of_torch(configuration: Configuration) -> Sharded:
    """Without DeepSpeed: FSDP2 where its version is said to be 2."""
    told = configuration.accelerate
    own = configuration.value("fsdp_config")
    if told is not None and told.at("distributed_type") == "FSDP":
        version = told.at("fsdp_config.fsdp_version")
    elif truth(configuration.value("fsdp")):
        usual = 2 if configuration.family == "ms-swift" else None  # _init_fsdp in its arguments/sft_args.py
        version = own.get("fsdp_version", own.get("version")) if isinstance(own, Mapping) else usual
    else:
        return "none"
    return "fsdp" if str(version) == "2" else "fsdp1"

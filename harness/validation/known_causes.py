"""What is known upstream of the releases that are pinned, where the configuration alone tells that it will show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from adapters.contract import Strategy
from harness.environments import recipes
from harness.judging.diagnosis import upstream
from harness.judging.diagnosis.upstream import Configured, UpstreamCause
from harness.validation.configuration import Configuration, truth
from harness.validation.effective import Effective
from harness.validation.options import Options

ENGINE = "deepspeed"
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


def told(options: Options, step: Effective, pinned: Mapping[str, str]) -> list[str]:
    """A sentence each."""
    spread = _spread(options)
    found = (
        entry for entry in upstream.entries() if _is_pinned(entry, pinned) and _shows(entry, options, step, spread)
    )
    return list(dict.fromkeys(f"{entry.package} {pinned[entry.package]} {_sentence(entry)}" for entry in found))


def _sentence(entry: UpstreamCause) -> str:
    return f"{entry.cause} ({entry.until}): {entry.why}; {entry.remedy}"


def _is_pinned(entry: UpstreamCause, pinned: Mapping[str, str]) -> bool:
    wanted = {entry.package: entry.versions, **entry.beside}
    return all(
        package in pinned and SpecifierSet(versions).contains(pinned[package], prereleases=True)
        for package, versions in wanted.items()
    )


def _shows(entry: UpstreamCause, options: Options, step: Effective, spread: Spread) -> bool:
    if entry.configured is None or (entry.package == ENGINE and not spread.engine):
        return False
    family = options.configuration.family
    under = "trainer" if family in ("trainer", "axolotl") else recipes.shipped().family(family)
    rule = step.optimizer
    return (
        (entry.under is None or under in entry.under)
        and (entry.sharding is None or spread.strategy in entry.sharding)
        and entry.offload in (None, spread.offload)
        and entry.precision in (None, step.precision.compute)
        and entry.moving_rate in (None, not rule.schedule.constant)
        and entry.given_in in (None, rule.given_in)
        and entry.smoothed in (None, step.token_loss.label_smoothing > 0)
        and _is_so(entry.configured, options, step)
    )


def _is_so(wanted: Configured, options: Options, step: Effective) -> bool:
    """What nobody has said of how many there are is taken for enough."""
    accumulation, ranks = step.accumulation or wanted.accumulation, step.ranks or wanted.ranks
    known = step.accumulation is not None and step.ranks is not None
    engine = options.configuration.deepspeed
    return (
        accumulation >= wanted.accumulation
        and ranks >= wanted.ranks
        and (not known or accumulation * ranks >= wanted.pieces)
        and (wanted.trained is None or step.trained in wanted.trained)
        and (not wanted.decay or step.optimizer.weight_decay != 0)
        and all(any(options.truth(key) for key in group) for group in wanted.on)
        and not any(options.truth(key) for key in wanted.off)
        and (wanted.program is None or wanted.program in (options.configuration.program or ""))
        and all(engine is not None and engine.has(path) for path in wanted.engine)
    )


def _spread(options: Options) -> Spread:
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
    return Spread(False, _of_torch(configuration))


def _stage(value: object) -> Strategy | None:
    return STAGES[int(str(value))] if str(value) in ("0", "1", "2", "3") else None


def _of_torch(configuration: Configuration) -> Strategy:
    """FSDP2 where its version is said to be 2."""
    told = configuration.accelerate
    own = configuration.value("fsdp_config")
    if told is not None and told.at("distributed_type") == "FSDP":
        version = told.at("fsdp_config.fsdp_version")
    elif truth(configuration.value("fsdp")):
        version = own.get("fsdp_version", own.get("version")) if isinstance(own, Mapping) else None
    else:
        return "none"
    return "fsdp" if str(version) == "2" else "fsdp1"

"""What is known upstream of the releases that are pinned, where the configuration alone tells that it will show."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.specifiers import SpecifierSet

from harness.environments import recipes
from harness.judging.diagnosis import upstream
from harness.judging.diagnosis.upstream import Configured, UpstreamCause
from harness.validation.known.options import Options
from harness.validation.step import spread as spreads
from harness.validation.step.effective import Effective
from harness.validation.step.spread import Spread

ENGINE = "deepspeed"


def told(options: Options, step: Effective, pinned: Mapping[str, str]) -> list[str]:
    """A sentence each."""
    spread = spreads.of(options)
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

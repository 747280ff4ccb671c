"""What a configuration says of a step, what becomes of its keys, and what would be run: all of it by reading."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.contract import Device
from harness.validation.known import ledger, releases
from harness.validation.known.options import Options
from harness.validation.known.pins import Pins
from harness.validation.known.releases import Release
from harness.validation.read import redaction
from harness.validation.read.configuration import Companion, Configuration, truth
from harness.validation.read.machine import Machine
from harness.validation.readers.families import READERS, Reader
from harness.validation.record import KeyRecord, Plan, RateRecord
from harness.validation.small import model, own
from harness.validation.small.kept import keep
from harness.validation.small.makers import MAKERS
from harness.validation.small.runs import Run, runs
from harness.validation.step import effective, engine, known_causes, telling
from harness.validation.step.effective import Effective

PACKED = ("packing", "sample_packing", "neat_packing", "packing_samples", "ds.packing_samples")
"""Switches by which rows share sequences."""


def wanted(configuration: Configuration) -> set[str]:
    """Packages of which one must be pinned, so that a file says which release is meant."""
    own = {package.partition("/")[0] for package in READERS[configuration.family].packages(configuration)}
    return own or {known_causes.ENGINE}


def step(
    configuration: Configuration,
    pinned: Mapping[str, str],
    rows: int | None,
    installed: Mapping[str, str] | None = None,
) -> tuple[Effective, Release | None, Release | None]:
    """The effective step, the release whose options and defaults it has, and DeepSpeed's.

    installed: versions of what is there, where that is known. Raises BadConfiguration.
    """
    reader = READERS[configuration.family]
    held = {**pinned, **(installed or {})}
    release = _release(reader, configuration, held)
    configuration = with_preset(configuration, release)
    below = _below(configuration, held)
    options = Options(configuration, release, reader.names(configuration))
    found = reader.step(options, below, configuration.ranks)
    return _settled(found, reader, rows), release, below


def on(configuration: Configuration, pinned: Mapping[str, str], device: Device, near: Path) -> Configuration:
    """With what its small runs train on. near: the configuration's folder. Raises BadConfiguration."""
    found, _, _ = step(configuration, pinned, None)
    architecture = model.describe(configuration, near).model_type
    return replace(configuration, machine=Machine(device, architecture, found.micro_batch_size))


def with_preset(configuration: Configuration, release: Release | None) -> Configuration:
    """With the configuration of DeepSpeed (ms-swift) or accelerate (TRL) that a name stands for, where the release
    ships one of that name."""
    of_engine = release is not None and release.package == "ms-swift"
    launched = {setting.key: setting.value for setting in configuration.launched}
    name = configuration.value("deepspeed") if of_engine else launched.get(engine.PRESET)
    own = configuration.deepspeed if of_engine else configuration.accelerate
    found = release.presets.get(name) if release is not None and isinstance(name, str) else None
    if found is None or own is not None:
        return configuration
    told = Companion(f"{name} of {release}", found)
    configuration = replace(configuration, missing=tuple(each for each in configuration.missing if each != name))
    return (
        replace(configuration, deepspeed=told)
        if of_engine
        else engine.launched(replace(configuration, accelerate=told))
    )


def _release(reader: Reader, configuration: Configuration, pinned: Mapping[str, str]) -> Release | None:
    settings = {setting.key: setting.value for setting in configuration.settings}
    for package in reader.packages(configuration):
        version = pinned.get(package.partition("/")[0])
        found = releases.nearest(package, version) if version else releases.best(package, settings)
        if found is not None:
            return found
    return None


def _below(configuration: Configuration, pinned: Mapping[str, str]) -> Release | None:
    if configuration.deepspeed is None:
        return None
    version = pinned.get(known_causes.ENGINE)
    known = releases.releases(known_causes.ENGINE)
    return releases.nearest(known_causes.ENGINE, version) if version else known[-1] if known else None


def _settled(found: Effective, reader: Reader, rows: int | None) -> Effective:
    """With its horizon, where that can be told; verl rounds warm-ups down to whole steps."""
    horizon = effective.horizon(rows, found, reader.whole_windows)
    told = found.optimizer.schedule
    if horizon is not None and reader.warmup_down and told.warmup_ratio:
        down = replace(told, warmup_ratio=0.0, warmup_steps=math.floor(horizon * told.warmup_ratio))
        found = replace(found, optimizer=replace(found.optimizer, schedule=down))
    needed = told.warmup(horizon) + told.stable_steps if horizon else 0
    if horizon and needed >= told.span(horizon):
        end = "the rate never falls" if told.decay != "none" else "the rate never has its peak"
        found = replace(found, odd=(*found.odd, f"the warm-up has {needed} steps and the training {horizon}: {end}"))
    return replace(found, horizon=horizon)


def made(
    configuration: Configuration,
    pins: Pins,
    rows: int | None,
    installed: Mapping[str, str] | None = None,
) -> Plan:
    """The whole plan. installed: as in `step`. Raises BadConfiguration."""
    pinned = pins.versions
    found, release, below = step(configuration, pinned, rows, installed)
    configuration = with_preset(configuration, release)
    reader = READERS[configuration.family]
    package = release.package.partition("/")[0] if release else ""
    held = _accumulated(
        _ledger(configuration, reader, release, below), reader.names(configuration), found, configuration
    )
    options = Options(configuration, release, reader.names(configuration))
    ours = _rows(configuration, options, found)
    held = [row.model_copy(update={"to": ours, "why": None}) if ours and row.to == ledger.MADE else row for row in held]
    lost = [
        f"{redaction.line(name, 200)}: what it decides is not told; give it by --with" for name in configuration.missing
    ]
    strange = [f"the optimizer {found.strange}, whose rule no intent says"] if found.strange else []
    return Plan(
        family=configuration.family,
        started_by=_started(configuration),
        captured=configuration.captured,
        release=str(release) if release else None,
        asked=f"{package} {pinned[package]}" if package in pinned else None,
        pinned_in=redaction.line(pins.where, 200)
        if pins.where and (package in pinned or known_causes.ENGINE in pinned)
        else None,
        below=str(below) if below else None,
        ledger=held,
        step=telling.parts(found),
        rates=[RateRecord(at=at, rate=rate) for at, rate in effective.landmarks(found)],
        known=[redaction.line(said) for said in known_causes.told(options, found, {**pinned, **(installed or {})})],
        odd=[redaction.line(said) for said in (*configuration.odd, *found.odd, *pins.unread)],
        refused=[
            redaction.line(said)
            for said in (*configuration.slips, *found.refused, *_unknown(configuration, held, release, pinned))
        ],
        not_covered=[redaction.line(said) for said in (*strange, *found.not_covered)],
        missing=lost,
        run=[*_run(configuration, found, release), *([f"rows: {ours}"] if ours else [])],
    )


def _rows(configuration: Configuration, options: Options, step: Effective) -> str | None:
    """The user's own rows that its small runs have, in words; None without such. Raises BadConfiguration."""
    data = configuration.data
    if data is None:
        return None
    file = redaction.line(data.path.name, 120)
    cut = "texts cut to what a small run takes"
    if data.rows is None:
        return f"your own first rows of {file}, {cut}"
    own.misfit(data, MAKERS[configuration.family].columns(options))
    needed = max(run.rows for run in small_runs(configuration, step))
    again = f", over again to make {needed}" if len(data.rows) < needed else ""
    return f"your own first {min(len(data.rows), needed)} rows of {file}{again}, {cut}"


def _unknown(
    configuration: Configuration, held: Sequence[KeyRecord], release: Release | None, pinned: Mapping[str, str]
) -> list[str]:
    """Every one of these frameworks ends where it is given an option that it does not know.

    A script of the project's own may take what TRL does not, for TRL's file does not say what reads it; not what is
    written nearly as an option is, nor what a pinned release has no longer.
    """
    own = {setting.key for setting in configuration.settings}
    names = [row.key for row in held if row.word == "unknown to this release" and row.key in own]
    if configuration.family == "trl" and not configuration.program:
        names = [name for name in names if release and (_slip(name, release) or _gone(name, release, pinned))]
    return [redaction.line(f"{release} refuses options that it does not know: {', '.join(names)}")] if names else []


def _slip(name: str, release: Release) -> bool:
    return bool(difflib.get_close_matches(name, list(release.options), 1, SLIP))


def _gone(name: str, release: Release, pinned: Mapping[str, str]) -> bool:
    """Whether other releases have it, and neither this one, which is pinned, nor the Trainer that is pinned beneath."""
    beneath = releases.nearest(TRAINER, pinned[TRAINER]) if TRAINER in pinned else None
    others = any(name in one.options for one in releases.releases(release.package))
    return release.package in pinned and others and not (beneath and name in beneath.options)


TRAINER = "transformers"
SLIP = 0.9
"""How alike an option and a slip of it are."""


def _started(configuration: Configuration) -> str:
    said = " ".join(filter(None, [configuration.launcher, configuration.program]))
    return redaction.line(said or f"{configuration.family}'s own command", 200)


def _accumulated(
    held: Sequence[KeyRecord], names: Mapping[str, str], step: Effective, configuration: Configuration
) -> list[KeyRecord]:
    """With what its small runs accumulate, which is less where micro-batches are large."""
    key = names.get(ACCUMULATED, ACCUMULATED)
    count = max(run.accumulation for run in small_runs(configuration, step))
    less = step.accumulation is not None and count < step.accumulation
    changed = {"word": "shrunk", "to": str(count)}
    return [row.model_copy(update=changed) if less and row.key == key else row for row in held]


ACCUMULATED = "gradient_accumulation_steps"


def _ledger(
    configuration: Configuration, reader: Reader, release: Release | None, below: Release | None
) -> list[KeyRecord]:
    known = (*(name for each in READERS.values() for name in each.programs),)
    own = configuration.program if configuration.program not in known else None
    if configuration.family == "axolotl":
        own = None
    found = ledger.rows(configuration.settings, reader.words, release, own, configuration.machine)
    found += ledger.rows(configuration.launched, ("accelerate",), None, None, configuration.machine)
    found += ledger.rows(configuration.variables, ("variables",), None, None, configuration.machine)
    if configuration.accelerate is not None:
        found += ledger.rows(configuration.accelerate.flat(), ("accelerate",), None, None, configuration.machine)
    engine = configuration.deepspeed
    inline = (
        engine is not None and configuration.accelerate is not None and engine.name == configuration.accelerate.name
    )
    if engine is not None and not inline:
        found += ledger.rows(engine.flat(), ("deepspeed",), below, None, configuration.machine)
    return found


def small_runs(configuration: Configuration, step: Effective) -> list[Run]:
    """Those that it gets. DeepSpeed's warm-ups have two steps at least."""
    engine = configuration.deepspeed
    least = 2 if engine is not None and engine.has("scheduler") else 1
    kept = keep(configuration, None)
    slow = configuration.machine.interprets and kept.liger
    whole_windows = READERS[configuration.family].whole_windows
    return list(runs(step, whole_windows, least, packs(configuration), slow, bool(kept.plain)))


def packs(configuration: Configuration) -> bool:
    """Whether rows share sequences in its small runs."""
    words = READERS[configuration.family].words
    asked = [each.key for each in configuration.settings if truth(each.value) and each.key in PACKED]
    return any((found := ledger.entry(key, words)) is not None and found[0] == "kept" for key in asked)


def _run(configuration: Configuration, found: Effective, release: Release | None) -> list[str]:
    """In the order of running."""
    name = release or configuration.family
    how = "by its own entry point"
    if configuration.family in ("axolotl", "trainer"):
        what = "axolotl" if configuration.family == "axolotl" else configuration.program or "the script"
        how = f"for {redaction.line(what, 200)}, of which the Trainer's arguments are taken over"
    lines = [f"{name}, {how}, on {configuration.machine.ranks(ledger.RANKS)}, shrunk as the ledger says"]
    lines += [run.says for run in small_runs(configuration, found)]
    if packs(configuration):
        lines.append("rows of which several share a sequence, for it packs")
    return lines

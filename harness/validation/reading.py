"""A user's words (a file and overrides, or a command line) and the files beside them, as a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.validation.known import ledger
from harness.validation.read import bounded, data, launching, within
from harness.validation.read.bounded import BadConfiguration, File
from harness.validation.read.configuration import COMMAND, Companion, Configuration, Setting, merged
from harness.validation.read.launching import Launched
from harness.validation.readers import families
from harness.validation.readers.families import READERS
from harness.validation.step import engine

SUFFIXES = (".yaml", ".yml", ".json")
_ENGINE = ("zero_optimization", "train_micro_batch_size_per_gpu", "train_batch_size", "gradient_clipping")
_ACCELERATE = ("distributed_type", "compute_environment")


def read(
    words: Sequence[str],
    beside: Sequence[Path],
    world: int | None,
    here: Path = Path(),
    rows: Path | None = None,
) -> Configuration:
    """here: the folder that a command line is called in. rows: a file of the user's own. Raises BadConfiguration."""
    if not words:
        raise BadConfiguration("give a configuration's file, or -- and the command that starts the training")
    is_file = starts_with_file(words)
    # what a script says is somebody else's, and leads nowhere but into its own folder
    folders = [here, Path(words[0] if is_file else _script(words) or ".").parent]
    own = is_file or _script(words) is None
    found = _of_file(words) if is_file else _of_command(words, folders, own)
    found = _to_accelerate(found)
    for path in beside:
        found = _with(found, path)
    found = _named(found, folders)
    found = data.given(rows, found, folders) if rows else data.named(found, folders)
    return engine.launched(replace(found, ranks=world or found.ranks))


def place(words: Sequence[str]) -> Path:
    """The folder that a configuration or a script lies in; of a command line, where it is typed."""
    named = words[0] if starts_with_file(words) else _script(words)
    return Path(named).parent if named else Path()


def starts_with_file(words: Sequence[str]) -> bool:
    """Whether words begin with a configuration's file, and not with a variable before a command."""
    assigned = re.match(r"[A-Za-z_]\w*=", words[0]) is not None and len(words) > 1
    return Path(words[0]).suffix.lower() in SUFFIXES and not assigned


def _script(words: Sequence[str]) -> str | None:
    return next((word for word in words[1:] if word.endswith(".sh")), None)


def _of_file(words: Sequence[str]) -> Configuration:
    path = Path(words[0])
    file = bounded.mapping(path)
    _no_companion(file.values, path)
    family = families.of_file(file.values, str(path))
    return Configuration(family, merged(_settings(file), launching.overrides(words[1:])), slips=_slips(file))


def _slips(file: File) -> tuple[str, ...]:
    return (file.slip,) if file.slip else ()


def _no_companion(values: Mapping[str, Any], path: Path) -> None:
    kind = "accelerate" if _is_accelerate(values) else "DeepSpeed" if _is_engine(values) else None
    if kind:
        raise BadConfiguration(
            f"{path} is a configuration of {kind}: give it by --with, beside the training's own arguments"
        )


def _is_engine(values: Mapping[str, Any]) -> bool:
    own = [key for key in _ENGINE if key in values]
    return bool(own) and "model_name_or_path" not in values and "base_model" not in values


def _is_accelerate(values: Mapping[str, Any]) -> bool:
    return any(key in values for key in _ACCELERATE)


def _settings(file: File) -> list[Setting]:
    return [Setting(key, value, file.name) for key, value in file.values.items()]


def _of_command(words: Sequence[str], folders: Sequence[Path], own: bool) -> Configuration:
    """own: whether the user typed it, so that a path in it may lead anywhere."""
    told = launching.launched(words)
    launched = tuple(Setting(key, value, told.launcher or "launcher") for key, value in told.options.items())
    if told.before:
        launched = (Setting(told.before[0], " ".join(told.before[1:]), COMMAND), *launched)
    variables = tuple(Setting(name, told.variables[name], "environment") for name in sorted(told.own))
    made = Configuration("verl", (), told.launcher, told.program, launched, variables, told.ranks, odd=told.odd)
    if told.program.startswith("verl.") or told.program in READERS["verl"].programs:
        flags = [word for word in told.words if word.startswith("--")]
        others = launching.overrides([word for word in told.words if word not in flags])
        return replace(made, settings=merged(others), launched=(*launched, *launching.options(flags, {})))
    file, more = _arguments(told, folders, own)
    settings = merged(_settings(file) if file else [], more)
    family = families.of_program(told.program, {setting.key for setting in settings})
    slips = _slips(file) if file else ()
    return replace(made, family=family, settings=settings, slips=slips)


def _arguments(told: Launched, folders: Sequence[Path], own: bool) -> tuple[File | None, list[Setting]]:
    """The file that a program is given, as its first word or by --config, and its other options."""
    words = list(told.words)
    if words and Path(words[0]).suffix in SUFFIXES:
        plain = [word for word in words[1:] if not word.startswith("-") and "=" in word]
        flagged = launching.options([word for word in words[1:] if word not in plain], {})
        return _given(words[0], folders, own), [*launching.overrides(plain), *flagged]
    settings = launching.options(words, {})
    config = next((setting for setting in settings if setting.key == "config"), None)
    if config is None:
        return None, settings
    return _given(str(config.value), folders, own), [one for one in settings if one is not config]


def _given(name: str, folders: Sequence[Path], own: bool) -> File:
    if own and Path(name).is_absolute():
        if not Path(name).is_file():
            raise BadConfiguration(f"{name} cannot be read: it is no file")
        return bounded.mapping(Path(name))
    path = within.file(name, folders)
    if path is None:
        raise BadConfiguration(f"{name} cannot be read: there is no such file here; go to where the command is typed")
    return bounded.mapping(path)


def _with(found: Configuration, path: Path) -> Configuration:
    file = bounded.mapping(path)
    values, companion = file.values, Companion(file.name, file.values)
    found = replace(found, slips=(*found.slips, *_slips(file)))
    if _is_accelerate(values):
        return replace(found, accelerate=companion)
    if _is_engine(values) or isinstance(values.get("fp16"), dict) or isinstance(values.get("bf16"), dict):
        return replace(found, deepspeed=companion)
    raise BadConfiguration(f"--with {path} is neither DeepSpeed's configuration nor accelerate's")


def _to_accelerate(found: Configuration) -> Configuration:
    """`trl sft` hands to `accelerate launch` what its own parser does not know, also of its YAML."""
    if found.family != "trl" or found.program not in (None, "trl sft"):
        return found
    handed = [
        setting
        for setting in found.settings
        if ledger.entry(setting.key, ("trl", "trainer")) is None and ledger.entry(setting.key, ("accelerate",))
    ]
    if not handed:
        return found
    ranks = next((one.value for one in handed if one.key == "num_processes" and isinstance(one.value, int)), None)
    return replace(
        found,
        launcher="accelerate",
        settings=tuple(one for one in found.settings if one not in handed),
        launched=(*found.launched, *handed),
        ranks=found.ranks or ranks,
    )


def _named(found: Configuration, folders: Sequence[Path]) -> Configuration:
    """With what it names itself, where that was not given already."""
    missing = list(found.missing)
    launched = {setting.key: setting.value for setting in found.launched}
    config = launched.get("config_file") or launched.get(engine.PRESET)
    if found.accelerate is None and found.launcher == "accelerate" and (name := config):
        place = within.file(str(name), folders)
        missing += [] if place else [str(name)]
        found = replace(found, accelerate=_companion(place)) if place else found
    inner = found.accelerate.at("deepspeed_config.deepspeed_config_file") if found.accelerate else None
    named = found.value("deepspeed") or launched.get("deepspeed_config_file") or inner
    if found.deepspeed is not None or not named or found.family in ("openrlhf", "verl"):
        return replace(found, missing=tuple(missing))
    if isinstance(named, dict):
        return replace(found, deepspeed=Companion("its key deepspeed", named), missing=tuple(missing))
    place = within.file(str(named), folders) if re.search(r"\.json$", str(named)) else None
    if place is None:
        return replace(found, missing=(*missing, str(named)))
    return replace(found, deepspeed=_companion(place), missing=tuple(missing))


def _companion(place: Path) -> Companion:
    return Companion(place.name, bounded.mapping(place).values)

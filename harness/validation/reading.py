"""A user's words (a file and overrides, or a command line) and the files beside them, as a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.validation import bounded, data, engine, launching, within
from harness.validation.bounded import BadConfiguration, File
from harness.validation.configuration import COMMAND, Companion, Configuration, Setting, merged
from harness.validation.launching import Launched
from harness.validation.readers import families
from harness.validation.readers.families import READERS

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
    found = _of_file(words) if is_file else _of_command(words, folders)
    for path in beside:
        found = _with(found, path)
    found = _named(found, folders)
    if found.deepspeed is None and found.accelerate is not None:
        found = replace(found, deepspeed=engine.of_accelerate(found.accelerate))
    found = data.given(rows, found, folders) if rows else data.named(found, folders)
    return replace(found, ranks=world or found.ranks or _processes(found.accelerate))


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


def _of_command(words: Sequence[str], folders: Sequence[Path]) -> Configuration:
    told = launching.launched(words)
    launched = tuple(Setting(key, value, told.launcher or "launcher") for key, value in told.options.items())
    if told.before:
        launched = (Setting(told.before[0], " ".join(told.before[1:]), COMMAND), *launched)
    variables = tuple(Setting(name, told.variables[name], "environment") for name in sorted(told.own))
    made = Configuration("verl", (), told.launcher, told.program, launched, variables, told.ranks, odd=told.odd)
    if told.program.startswith("verl.") or told.program in READERS["verl"].programs:
        flags = [word for word in told.words if word.startswith("--")]
        own = launching.overrides([word for word in told.words if word not in flags])
        return replace(made, settings=merged(own), launched=(*launched, *launching.options(flags, {})))
    file, more = _arguments(told, folders)
    settings = merged(_settings(file) if file else [], more)
    family = families.of_program(told.program, {setting.key for setting in settings})
    slips = _slips(file) if file else ()
    return replace(made, family=family, settings=settings, slips=slips)


def _arguments(told: Launched, folders: Sequence[Path]) -> tuple[File | None, list[Setting]]:
    """The file that a program is given, as its first word or by --config, and its other options."""
    words = list(told.words)
    if words and Path(words[0]).suffix in SUFFIXES:
        plain = [word for word in words[1:] if not word.startswith("-") and "=" in word]
        flagged = launching.options([word for word in words[1:] if word not in plain], {})
        return _given(words[0], folders), [*launching.overrides(plain), *flagged]
    settings = launching.options(words, {})
    config = next((setting for setting in settings if setting.key == "config"), None)
    if config is None:
        return None, settings
    return _given(str(config.value), folders), [one for one in settings if one is not config]


def _given(name: str, folders: Sequence[Path]) -> File:
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


def _named(found: Configuration, folders: Sequence[Path]) -> Configuration:
    """With what it names itself, where that was not given already."""
    missing = list(found.missing)
    launched = {setting.key: setting.value for setting in found.launched}
    if found.accelerate is None and found.launcher == "accelerate" and (name := launched.get("config_file")):
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


def _processes(told: Companion | None) -> int | None:
    count = told.at("num_processes") if told else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= 2**20 else None

"""Which options the entry points of an installed framework take, and their defaults.

`python -m adapters.inside.options NAME`: the answer is one JSON object on stdout: by package, its version and its
options. They are read from what a release itself parses them with, its dataclasses, its argument parser, its Hydra
configuration, so that none is written by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import enum
import importlib
import json
import math
import os
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

NOTHING = None
"""What stands for a default that is no plain value, and for none."""

OF_THE_TIME = ("wandb_run_name", "wandb.run_name")
"""Flags of OpenRLHF whose default has the time in it."""

Options = dict[str, Any]


class _Stopped(Exception):
    """A command line was about to be parsed."""


def main() -> int:
    """Answers go to stdout alone; what a framework prints goes to stderr."""
    framework = sys.argv[1]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        found = {package: _entry(package, read()) for package, read in READERS[framework].items() if _is_there(package)}
        json.dump(found, answers, sort_keys=True)
    return 0


def _is_there(package: str) -> bool:
    """Of verl, which has several trainers, by the configuration of the one behind the slash."""
    name, _, trainer = package.partition("/")
    spec = find_spec({"ms-swift": "swift"}.get(name, name))
    if spec is None or not trainer:
        return spec is not None
    folders = spec.submodule_search_locations or []
    return any((Path(folder) / "trainer" / "config" / f"{trainer}.yaml").is_file() for folder in folders)


def _entry(package: str, options: Options) -> dict[str, Any]:
    version = installed(package.partition("/")[0])
    told = {"version": version, "options": {name: _plain(value) for name, value in options.items()}}
    return {**told, "presets": PRESETS[package]()} if package in PRESETS else told


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return NOTHING
    return value if isinstance(value, bool | int | float | str) else NOTHING


def _of_dataclasses(kinds: Iterable[Any]) -> Options:
    return {field.name: _default(field) for kind in kinds for field in dataclasses.fields(kind) if field.init}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return NOTHING if field.default_factory is dataclasses.MISSING else field.default_factory()


def _transformers() -> Options:
    from transformers import TrainingArguments

    return _of_dataclasses([TrainingArguments])


def _trl() -> Options:
    trl = importlib.import_module("trl")
    names = ("ScriptArguments", "SFTConfig", "ModelConfig", "DatasetMixtureConfig")
    return _of_dataclasses(getattr(trl, name) for name in names if hasattr(trl, name))


def _trl_presets() -> Options:
    """Accelerate's configurations that `--accelerate_config NAME` stands for: 0.16.1 has none, 0.18.1 has."""
    import yaml

    spec = find_spec("trl")
    folders = spec.submodule_search_locations if spec is not None else None
    files = [file for folder in folders or () for file in (Path(folder) / "accelerate_configs").glob("*.yaml")]
    return {file.stem: yaml.safe_load(file.read_text()) for file in files}


def _llamafactory() -> Options:
    importlib.import_module("adapters.llamafactory_sft")  # its stand-ins
    parser = importlib.import_module("llamafactory.hparams.parser")
    return _of_dataclasses(parser._TRAIN_ARGS)


def _swift() -> Options:
    return _of_dataclasses([importlib.import_module("swift").SftArguments])


def _swift_presets() -> Options:
    """DeepSpeed's configurations that `--deepspeed NAME` stands for (`_init_deepspeed` in arguments/sft_args.py)."""
    folder = Path(importlib.import_module("swift.config").__path__[0])
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("zero*.json")}


def _openrlhf() -> Options:
    importlib.import_module("adapters.families.openrlhf_shims")  # its stand-ins
    parsers: list[argparse.ArgumentParser] = []

    def parse_args(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        parsers.append(parser)
        raise _Stopped

    with patch.object(argparse.ArgumentParser, "parse_args", parse_args), contextlib.suppress(_Stopped):
        runpy.run_module("openrlhf.cli.train_sft", run_name="__main__")
    return {
        flag.removeprefix("--"): NOTHING if flag.endswith(OF_THE_TIME) else action.default
        for action in parsers[0]._actions
        for flag in action.option_strings
        if flag.startswith("--") and flag != "--help"
    }


def _verl(trainer: str) -> Options:
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module("verl.trainer.config", version_base=None):
        return dict(_flat(OmegaConf.to_container(compose(trainer), resolve=False)))


def _flat(node: Any, at: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in node.items():
        path = f"{at}.{name}" if at else name
        if isinstance(value, Mapping) and value:
            yield from _flat(value, path)
        else:
            yield path, value


class _Asked(dict[str, Any]):
    """A configuration that notes which of its keys were asked for, and with which default."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.asked: Options = {}

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.setdefault(key, default)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.setdefault(str(key), NOTHING)
        return super().__contains__(key)

    def keys(self) -> Any:
        """What is looked for among them is asked for as well."""
        return self


def _deepspeed() -> Options:
    from deepspeed.runtime.config import DeepSpeedConfig
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    content = _Asked({"train_batch_size": 1})
    DeepSpeedConfig(content)
    found = dict(content.asked)
    fields = getattr(DeepSpeedZeroConfig, "model_fields", None) or DeepSpeedZeroConfig.__fields__  # of pydantic 1
    for name, field in fields.items():
        found[f"zero_optimization.{field.alias or name}"] = field.default
        found[f"zero_optimization.{name}"] = field.default
    return found


READERS: Mapping[str, Mapping[str, Callable[[], Options]]] = {
    "trl": {"trl": _trl, "transformers": _transformers, "deepspeed": _deepspeed},
    "llamafactory": {"llamafactory": _llamafactory, "transformers": _transformers, "deepspeed": _deepspeed},
    "ms-swift": {"ms-swift": _swift, "transformers": _transformers, "deepspeed": _deepspeed},
    "openrlhf": {"openrlhf": _openrlhf, "deepspeed": _deepspeed},
    "verl": {
        "verl/sft_trainer": lambda: _verl("sft_trainer"),
        "verl/sft_trainer_engine": lambda: _verl("sft_trainer_engine"),
    },
    "deepspeed": {"deepspeed": _deepspeed},
}
"""By framework, the packages in its environment that have options of their own."""

PRESETS: Mapping[str, Callable[[], Options]] = {"ms-swift": _swift_presets, "trl": _trl_presets}
"""By package, what ships configurations that an option names."""


if __name__ == "__main__":
    sys.exit(main())

"""A user's configuration as it was read: keys with values and where each stands, and what starts the training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.validation.read import redaction
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.machine import Machine

Family = Literal["llamafactory", "trl", "trainer", "openrlhf", "verl", "axolotl", "ms-swift"]
"""Whose keys they are; `trainer` is a script of the user's own around the Trainer of transformers."""

COMMAND = "command line"
MOST_KEYS = 1000
OFF: tuple[Any, ...] = (None, False, "", "no", "none", "None", "False", "false", 0, 0.0, [], {})


@dataclass(frozen=True)
class Setting:
    """One key."""

    key: str
    value: Any
    source: str
    """The file that it stands in, or the command line."""
    instead: str | None = None
    """Where the key stood first, with the value that it had there."""
    added: bool = False
    """Whether it is added to the options that there are, by Hydra's sign for it."""
    default: bool = False
    """Whether it is what the framework takes where nobody says it; `source` says whose default it is."""


@dataclass(frozen=True)
class Companion:
    """A configuration that goes with it: DeepSpeed's JSON, or accelerate's YAML."""

    name: str
    values: Mapping[str, Any]
    """As nested as they are in it."""

    def at(self, path: str) -> Any:
        """The value at a path with dots; None if there is none."""
        node: Any = self.values
        for part in path.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node

    def has(self, path: str) -> bool:
        above, _, last = path.rpartition(".")
        node = self.at(above) if above else self.values
        return isinstance(node, Mapping) and last in node

    def flat(self) -> list[Setting]:
        """Each of its keys."""
        return [Setting(key, value, self.name) for key, value in flat(self.values)]


def flat(node: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Keys with dots, and their values, of a nested mapping."""
    found: list[tuple[str, Any]] = []
    for key, value in node.items():
        path = f"{above}.{key}" if above else key
        found += flat(value, path) if isinstance(value, Mapping) and value else [(path, value)]
    return found


@dataclass(frozen=True)
class Data:
    """The user's own first rows. They are the user's: no report has more of them than names of columns and counts."""

    path: Path
    rows: tuple[Mapping[str, Any], ...] | None
    """None for Parquet, which the framework's environment reads."""
    layout: Mapping[str, Any] = field(default_factory=dict)
    """What LLaMA-Factory's list of datasets says of it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the first row."""
        return tuple(self.rows[0]) if self.rows else ()


@dataclass(frozen=True)
class Configuration:
    """All that was read."""

    family: Family
    settings: tuple[Setting, ...]
    launcher: str | None = None
    """What starts the processes."""
    program: str | None = None
    """A module or a script."""
    launched: tuple[Setting, ...] = ()
    """The launcher's own options, and what else stands in the command line."""
    variables: tuple[Setting, ...] = ()
    """Of the environment."""
    ranks: int | None = None
    """Where that is said."""
    deepspeed: Companion | None = None
    accelerate: Companion | None = None
    missing: tuple[str, ...] = field(default=())
    """Files that it names and that are not there."""
    slips: tuple[str, ...] = ()
    """Why a file that was read would be refused by the framework's own reader."""
    odd: tuple[str, ...] = ()
    """What nobody may have meant, a sentence each."""
    captured: str | None = None
    """What was run to come by the command line, a sentence."""
    data: Data | None = None
    machine: Machine = field(default_factory=Machine)
    """What its small runs train on."""

    def has(self, *keys: str) -> bool:
        return any(setting.key in keys for setting in self.settings)

    def get(self, *keys: str) -> Setting | None:
        """The first of these keys that is there."""
        by_key = {setting.key: setting for setting in self.settings}
        return next((by_key[key] for key in keys if key in by_key), None)

    def value(self, *keys: str) -> Any:
        found = self.get(*keys)
        return None if found is None else found.value


def merged(*parts: Sequence[Setting]) -> tuple[Setting, ...]:
    """Each key once; what comes later wins, and says what it stands instead of. Raises BadConfiguration."""
    found: dict[str, Setting] = {}
    for setting in (setting for part in parts for setting in part):
        before = found.get(setting.key)
        instead = None if before is None else f"{redaction.value(setting.key, before.value)} in {before.source}"
        found[setting.key] = replace(setting, instead=instead)
    if len(found) > MOST_KEYS:
        raise BadConfiguration(f"the configuration has {len(found)} keys, and {MOST_KEYS} are read")
    return tuple(found.values())


def number(value: Any, key: str) -> float:
    """A finite number, also one in quotes. Raises BadConfiguration."""
    try:
        result = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise BadConfiguration(f"{key} is {str(value)[:40]!r}, expected a number")
    return result


def whole(value: Any, key: str, least: int = 0) -> int:
    """A whole number, also one in quotes. Raises BadConfiguration."""
    result = number(value, key)
    if result != int(result) or not least <= result <= 2**31:
        raise BadConfiguration(f"{key} is {str(value)[:40]!r}, expected a whole number of {least} or more")
    return int(result)


def share(value: float, key: str) -> float:
    """The same number, 0 to less than 1. Raises BadConfiguration."""
    if not 0 <= value < 1:
        raise BadConfiguration(f"{key} is {value:g}, expected 0 to less than 1")
    return value


def truth(value: Any) -> bool:
    """Whether a switch is on: YAML's and the command line's ways to say so."""
    return value not in OFF and str(value).lower() not in ("false", "no", "off", "0", "none", "null")

"""Which options of a configuration a small run is given: those that are kept, and those that are swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.validation import ledger
from harness.validation.configuration import Configuration
from harness.validation.readers.families import READERS
from harness.validation.releases import Release

_PLAIN = {"true": True, "false": False}


@dataclass(frozen=True)
class Kept:
    """They, by their keys, and the configuration that they are of."""

    configuration: Configuration
    release: Release | None
    values: Mapping[str, Any]

    def has(self, option: str) -> bool:
        """Whether this release has such an option."""
        return self.release is not None and option in self.release.options


def keep(configuration: Configuration, release: Release | None) -> Kept:
    """What is shrunk is left out: the framework's own part of this folder gives it. axolotl's keys get the names that
    the Trainer has for them."""
    reader = READERS[configuration.family]
    words, values = reader.words, {}
    renamed = (
        {own: name for name, own in reader.names(configuration).items()} if configuration.family == "axolotl" else {}
    )
    for setting in configuration.settings:
        word, to, _ = ledger.judged(setting, words, release, None)
        if word == "kept":
            values[renamed.get(setting.key, setting.key)] = setting.value
        elif word == "swapped" and to is not None:
            values[renamed.get(setting.key, setting.key)] = _PLAIN.get(to, to)
    return Kept(configuration, release, values)

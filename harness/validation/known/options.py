"""Options of a configuration with the defaults of a release behind them, and who said each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.validation.known.releases import Release
from harness.validation.read import configuration as read
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import COMMAND, Configuration

FASTEST = 1e30
"""Learning rate that an optimizer of the contract may have."""


@dataclass(frozen=True)
class Options:
    """What each option is."""

    configuration: Configuration
    release: Release | None
    """Whose defaults hold; None where no table has them."""
    names: Mapping[str, str]
    """What this framework calls an option, where that is not as the Trainer of transformers has it."""

    def _own(self, key: str) -> str:
        return self.names.get(key, key)

    def said(self, key: str) -> bool:
        return self.configuration.has(self._own(key))

    def value(self, key: str, default: Any = None) -> Any:
        """What is configured, else the release's default, else that one."""
        setting = self.configuration.get(self._own(key))
        if setting is not None and setting.value is not None:
            return setting.value
        own = None if self.release is None else self.release.options.get(self._own(key))
        return default if own is None else own

    def no_default(self, key: str) -> bool:
        """Whether the release has the option, and takes what is not said for nothing."""
        own = self._own(key)
        return self.release is not None and own in self.release.options and self.release.options[own] is None

    def number(self, key: str, default: float) -> float:
        """Raises BadConfiguration."""
        return read.number(self.value(key, default), self._own(key))

    def whole(self, key: str, default: int, least: int = 0) -> int:
        """Raises BadConfiguration."""
        return read.whole(self.value(key, default), self._own(key), least)

    def rate(self, key: str, default: float) -> float:
        """A learning rate. Raises BadConfiguration."""
        found = self.number(key, default)
        if not 0 < found <= FASTEST:
            raise BadConfiguration(f"{self._own(key)} is {found:g}, expected above 0")
        return found

    def share(self, key: str, default: float) -> float:
        """Raises BadConfiguration."""
        return read.share(self.number(key, default), self._own(key))

    def limit(self, key: str, default: float) -> float | None:
        """A norm to clip at; None where that is switched off. Raises BadConfiguration."""
        found = self.number(key, default)
        return found if found > 0 else None

    def truth(self, key: str, default: bool = False) -> bool:
        return read.truth(self.value(key, default))

    def by(self, *keys: str) -> str:
        """Who says these: the configuration's files, or a release's defaults."""
        found = []
        for key in keys:
            setting = self.configuration.get(self._own(key))
            if setting is not None and setting.default:
                found.append(setting.source)
            elif setting is not None:
                found.append(f"{setting.key} {'on the' if setting.source == COMMAND else 'in'} {setting.source}")
        default = f"the default of {self.release}" if self.release else "a default"
        return ", ".join(dict.fromkeys(found)) or default

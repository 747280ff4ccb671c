"""Options by name, with a framework's defaults: which were given, which were taken, and which nobody asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.translating.meaning import NoMeaning, Word
from harness.validation.read import configuration
from harness.validation.read.bounded import BadConfiguration


@dataclass(frozen=True)
class Beside:
    """An option that does something the objective has no word for, unless it is neutral."""

    neutral: tuple[Any, ...]
    sentence: str


def number(value: Any, key: str, least: float = 0.0) -> float:
    """Raises BadConfiguration."""
    found = configuration.number(value, key)
    if found < least:
        raise BadConfiguration(f"{key} is {found:g}, expected {least:g} or more")
    return found


class Options:
    """Those that were given, over the defaults of a release. Whatever is asked for is noted."""

    def __init__(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._given, self._defaults = given, defaults
        self._asked: dict[str, None] = {}
        self._quiet: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether it was given."""
        return key in self._given

    def value(self, key: str) -> Any:
        """As it stands."""
        self._asked[key] = None
        return self._given.get(key, self._defaults[key])

    def number(self, key: str, least: float = 0.0) -> float:
        """Raises BadConfiguration."""
        return number(self.value(key), key, least)

    def share(self, key: str) -> float:
        """A number of 0 to less than one half. Raises BadConfiguration."""
        found = self.number(key)
        if found >= 0.5:
            raise BadConfiguration(f"{key} is {found:g}, expected 0 to less than 0.5")
        return found

    def positive(self, key: str, most: float = 1e6) -> float:
        """Above 0, as far as a ratio may go, or a temperature. Raises BadConfiguration."""
        found = self.number(key)
        if not 0 < found <= most:
            raise BadConfiguration(f"{key} is {found:g}, expected above 0 to {most:g}")
        return found

    def whole(self, key: str, least: int = 1) -> int:
        """Raises BadConfiguration."""
        return configuration.whole(self.value(key), key, least)

    def truth(self, key: str) -> bool:
        return configuration.truth(self.value(key))

    def maybe(self, key: str, least: float = 0.0) -> float | None:
        """A number, or nothing. Raises BadConfiguration."""
        return None if self.value(key) in (None, "", "null", "None") else self.number(key, least)

    def coefficient(self, key: str) -> float:
        """Of either sign; 0 for nothing. Raises BadConfiguration."""
        return self.maybe(key, -math.inf) or 0.0

    def choice(self, key: str, known: Mapping[str, Any], others: Mapping[str, str] | None = None) -> Any:
        """What one of the known words stands for. `others`: words that have no meaning here, with why.

        Raises NoMeaning for one of the others, and BadConfiguration for a word that is none.
        """
        found = self.value(key)
        word = str(found)
        if word in (others or {}):
            raise NoMeaning(f"{key}={word} is no objective that there is a word for: {(others or {})[word]}")
        if word not in known:
            raise BadConfiguration(f"{key} is {word[:40]!r}, expected one of {', '.join([*known, *(others or {})])}")
        return known[word]

    def beside(self, known: Mapping[str, Beside]) -> Iterator[Word]:
        """What those of them say that are not neutral."""
        for key, one in known.items():
            self._quiet.add(key)
            value = self.value(key)
            if value not in one.neutral and not (None in one.neutral and str(value).lower() in ("none", "null")):
                yield self.word(key, one.sentence)

    def word(self, key: str, sentence: str) -> Word:
        """What is said of an option as it stands, given or by default."""
        default = "" if self.has(key) else " (default)"
        return Word(f"{key}={self.value(key)}{default}", sentence)

    @property
    def defaults(self) -> dict[str, Any]:
        """Taken where nothing was given, but for what is neutral then."""
        taken = (key for key in self._asked if key not in self._given and key not in self._quiet)
        return {key: self._defaults[key] for key in taken}

    @property
    def unread(self) -> tuple[str, ...]:
        """Given, and nobody asked for them."""
        return tuple(key for key in self._given if key not in self._asked)

"""Where a small run lies, and what is put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import Given


@dataclass(frozen=True)
class Place:
    """Folders, all absolute."""

    here: Path
    """Of the run; it is where its ranks are."""
    model: Path
    """The checkpoint."""


@dataclass(frozen=True)
class Small:
    """A run, ready to be started."""

    given: Given
    files: Mapping[str, str]
    """Text by name, in `Place.here`."""

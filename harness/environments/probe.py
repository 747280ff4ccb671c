"""One thing that `lockstep doctor` looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class Probe:
    """One thing looked at."""

    name: str
    ok: bool
    says: str
    """What was found."""
    remedy: str = ""
    """What to do if it is not ok."""
    required: bool = True
    """Whether the CPU path needs it."""


def existing(path: Path) -> Path:
    """The nearest ancestor that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())

"""What to record, and where to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "LOCKSTEP_RECORD"
"""Environment variable that hands the settings to every process of a command, as JSON."""


FIRST = ((0, 2),)
"""The steps that are watched if none are named, as `Settings.steps` has them."""


@dataclass(frozen=True)
class Settings:
    """What to record."""

    out: str
    """Folder of the recording."""
    steps: tuple[tuple[int, int], ...] = FIRST
    """First and last optimizer step of each range that is watched, from 0."""
    every: int | None = None
    """Besides, every step that this number divides."""
    keep_tokens: bool = False
    """Whether token ids are kept; they are the user's data."""

    def watched(self, step: int) -> bool:
        """Whether an optimizer step (from 0) is watched."""
        if self.every and step % self.every == 0:
            return True
        return any(first <= step <= last for first, last in self.steps)

    @property
    def last(self) -> int | None:
        """The last step that is watched; None where there is none."""
        return None if self.every else max((last for _, last in self.steps), default=-1)

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_environment() -> Settings | None:
        """Those that `lockstep record` has left for this process; None if it has left none."""
        text = os.environ.get(VARIABLE)
        if not text:
            return None
        given = json.loads(text)
        return Settings(**{**given, "steps": tuple((int(a), int(b)) for a, b in given["steps"])})

"""`stock.json`: what stock installs did, release by release. Reports read this and nothing else."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness import documents
from harness.verdicts.verdict import Outcome, ReadOutcome

FILE = "stock.json"
MAX_BYTES = 16 * 2**20

State = Literal["wrong", "right", "unsupported", "unknown", "not measured", "no release"]

STATES: dict[Outcome | None, State] = {
    "fail": "wrong",
    "accepted": "wrong",
    "pass": "right",
    "unsupported": "unsupported",
    "unknown": "unknown",
    None: "not measured",
}

# What is told of several scenarios together: the first of these that any of them has. Right is the last but one, since
# all that could be measured have to be.
WORST: tuple[State, ...] = ("wrong", "not measured", "unknown", "no release", "right", "unsupported")


class BadStock(Exception):
    """`stock.json` cannot be read; the message is one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutcomeRecord(_Strict):
    """One release on one scenario."""

    verdict: ReadOutcome
    kinds: tuple[str, ...] = ()
    """Of its causes."""
    reason: str | None = None
    """Of `unknown` and `unsupported`."""


class ReleaseRecord(_Strict):
    """One release as it was installed on its day."""

    version: str
    released: dt.date
    days: int
    """Days of the window on which it was the newest."""
    covered: bool
    """Whether there is a recipe for it."""
    underneath: dict[str, str] = {}
    """What lay under it, of the packages that matter most."""
    outcomes: dict[str, OutcomeRecord] = {}
    """By scenario; one that is missing was not measured."""

    def state(self, scenarios: Iterable[str]) -> State:
        """The worst of what it did on these scenarios."""
        verdicts = (self.outcomes[name].verdict if name in self.outcomes else None for name in scenarios)
        return min((STATES[verdict] for verdict in verdicts), key=WORST.index)


class FrameworkRecord(_Strict):
    name: str
    before: int
    """Days of the window before its first release."""
    releases: tuple[ReleaseRecord, ...]
    """Oldest first."""

    def days(self, scenarios: Sequence[str]) -> Counter[State]:
        """Days of the window by what a stock install did on these scenarios; they add up to the window."""
        counted: Counter[State] = Counter({"no release": self.before} if self.before else {})
        for release in self.releases:
            if release.days:
                counted[release.state(scenarios)] += release.days
        return counted


class Stock(_Strict):
    """All of it."""

    schema_: Literal[1] = 1
    lockstep: str
    first: dt.date
    """First day of the window."""
    last: dt.date
    since: dt.date
    """Releases from this day on are in it, and the one that was the newest when the window began."""
    scenarios: tuple[str, ...]
    frameworks: tuple[FrameworkRecord, ...]

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def write(stock: Stock, path: Path) -> None:
    """Replace the file in one step. Raises OSError."""
    documents.write(stock, path, defaults=False)


def read(path: Path) -> Stock:
    """Raises BadStock."""
    return documents.read(Stock, path, MAX_BYTES, BadStock, "`lockstep stock` makes one")

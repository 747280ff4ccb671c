"""How far a bisection is, and how long it will take."""

from __future__ import annotations

import time


class Pace:
    """Counts what is measured; watches a search and says it for `commands.progress`."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._known = 0
        self._left = 0
        self._done = 0
        self._done_before = 0

    def asking(self, measured: int, left: int) -> None:
        self._known, self._left, self._done_before = measured, left, self._done

    def tally(self, done: int) -> str:
        """`done`: what this process has measured."""
        self._done = done
        new = done - self._done_before
        left = max(0, self._left - new)
        time_left = f", {spoken(self.seconds / done * left)}" if done and left else ""
        return f"{self._known + new} measured, about {left} left{time_left}"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun


def spoken(seconds: float) -> str:
    """Such as `40 s` or `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

"""How far a bisection is, and how long it will take."""

from __future__ import annotations

import time


class Pace:
    """Counts what is measured; watches a search and says it for `commands.progress`."""

    def __init__(self) -> None:
        self._begun: float | None = None
        """When the search asked for its first points: finding the line took its time before."""
        self._measured = 0
        self._made = 0
        self._left = 0
        self._done = 0
        self._done_before = 0

    def asking(self, measured: int, made: int, left: int) -> None:
        self._begun = time.monotonic() if self._begun is None else self._begun
        self._measured, self._made, self._left, self._done_before = measured, made, left, self._done

    def tally(self, done: int) -> str:
        """`done`: cells that this process has recorded. What does not install may never become one."""
        self._done = done
        new = done - self._done_before
        made, left = self._made + new, max(0, self._left - new)
        time_left = f", {spoken(self.seconds / made * left)}" if made and left else ""
        return f"{self._measured + new} measured, about {left} left{time_left}"

    @property
    def seconds(self) -> float:
        """Since the first question."""
        return 0.0 if self._begun is None else time.monotonic() - self._begun


def spoken(seconds: float) -> str:
    """Such as `40 s` or `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def left(seconds: float, made: int, more: int) -> str:
    """What a tally ends with, when so many took so long, and more are to be made; nothing where nobody knows."""
    return f", about {spoken(seconds / made * more)} left" if made > 0 and more > 0 else ""

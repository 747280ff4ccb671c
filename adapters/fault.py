"""What a planted fault is. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.contract import Scenario
from adapters.plan import Plan

Hidden = Callable[[Scenario], str | None]


def nowhere(scenario: Scenario) -> str | None:
    return None


@dataclass(frozen=True)
class Fault:
    """A planted fault and what must be said of it."""

    name: str
    what: str
    plan: Plan
    codes: tuple[str, ...]
    """Findings of which one must come out."""
    cause: str
    """Cause that the diagnosis must name first."""
    hidden: Hidden = field(default=nowhere)
    """Why this fault cannot be seen on a scenario; None where it must be found."""


def both(*reasons: Hidden) -> Hidden:
    """Hidden wherever any of them is, for the first reason that holds."""
    return lambda scenario: next((why for reason in reasons if (why := reason(scenario))), None)

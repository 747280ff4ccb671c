"""The table of planted faults as Markdown, from the catalogue: `lockstep list faults --markdown > docs/faults.md`."""

from __future__ import annotations

from collections.abc import Sequence

import scenarios
from adapters.contract import Scenario
from adapters.faults import CATALOGUE, Fault

_HEAD = """# Planted faults

Made by `lockstep list faults --markdown`; do not edit. Each fault can be planted in the torch reference, and the tests
plant each of them in every scenario that plain PyTorch can run:
{runnable}.

It must be found, and its cause must be the only one that is named, but for the scenarios in the last column, where it
changes nothing, or nothing beyond the rounding of the run's own dtype. A report that is wrong is told there, too.

| fault | what it does | finding | cause | cannot be seen on |
|---|---|---|---|---|
"""


def markdown() -> str:
    """The whole page."""
    every = map(scenarios.get, scenarios.CATALOGUE)
    runnable = [s for s in every if s.sharding.strategy == "none" and not s.beyond_tokens]
    rows = [_row(fault, runnable) for fault in CATALOGUE.values()]
    return _HEAD.format(runnable=", ".join(f"`{s.name}`" for s in runnable)) + "".join(rows)


def _row(fault: Fault, runnable: Sequence[Scenario]) -> str:
    codes = " or ".join(f"`{code}`" for code in fault.codes)
    cells = (f"`{fault.name}`", fault.what, codes, f"`{fault.cause}`", _hidden(fault, runnable))
    return f"| {' | '.join(cells)} |\n"


def _hidden(fault: Fault, runnable: Sequence[Scenario]) -> str:
    """Scenarios that hide a fault, by reason."""
    reasons: dict[str, list[str]] = {}
    for scenario in runnable:
        if (why := fault.hidden(scenario)) is not None:
            reasons.setdefault(why, []).append(f"`{scenario.name}`")
    return "; ".join(f"{_named(names, runnable)}: {why}" for why, names in reasons.items())


def _named(names: Sequence[str], runnable: Sequence[Scenario]) -> str:
    """The scenarios, or those that are not among them if they are fewer."""
    others = [f"`{s.name}`" for s in runnable if f"`{s.name}`" not in names]
    if not others:
        return "all"
    return f"all but {', '.join(others)}" if len(others) < len(names) else ", ".join(names)

"""Sets of scenarios that a detection goes through: the standard matrices, and the scenarios with names."""

from __future__ import annotations

import scenarios
from adapters.contract import Scenario
from adapters.expressed import refused
from scenarios import matrices

NAMED = "named"
LEFT_OUT = "sft-ragged-paper"
"""Of those with names: most faults act in it, and its windows are so large that judging each takes many seconds."""


def names() -> list[str]:
    """smoke, nightly, full, named."""
    return [*matrices.sizes(), NAMED]


def scenarios_of(name: str, framework: str) -> list[Scenario]:
    """Those that the framework can express, in their order. Raises KeyError for another set."""
    named = (scenario for scenario in scenarios.CATALOGUE if scenario != LEFT_OUT)
    found = named if name == NAMED else matrices.names(name, framework)
    return [scenario for scenario in map(scenarios.get, found) if refused(scenario, framework) is None]

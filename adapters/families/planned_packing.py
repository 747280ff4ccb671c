"""Sequences as a plan packs them (`adapters.plan.Plan`): right ones, or with a row too few or too many."""

from __future__ import annotations

from dataclasses import replace

from adapters.contract import Scenario
from adapters.plan import Plan


def repacked(scenario: Scenario, how: Plan) -> Scenario:
    """The scenario, its sequences as planned where its rows are packed."""
    if how.packer == "right" or scenario.data.packed_length is None:
        return scenario
    sequences = list(scenario.sequences)
    at = next(number for number, rows in enumerate(sequences) if len(rows) > 1)
    *others, last = sequences[at]
    sequences[at] = (*others, last, last) if how.packer == "doubles" else tuple(others)
    other = replace(scenario)
    vars(other)["sequences"] = tuple(sequences)  # in the place of what would be worked out
    return other

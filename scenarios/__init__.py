"""Named scenarios: functions that return a frozen `adapters.contract.Scenario`, and what they are made from."""

from scenarios.catalogue import CATALOGUE, get, matching

__all__ = ["CATALOGUE", "get", "matching"]

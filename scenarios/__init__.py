"""Named scenarios: functions that return a frozen `adapters.contract.Scenario`, and what they are made from."""

from scenarios.catalogue import CATALOGUE, matching
from scenarios.matrices import matching as in_matrices
from scenarios.named import get, knows, told

__all__ = ["CATALOGUE", "get", "in_matrices", "knows", "matching", "told"]

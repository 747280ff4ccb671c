"""Scenarios by their names: those of the catalogue, and those of the standard matrices."""

from __future__ import annotations

from adapters.contract import Scenario
from scenarios import catalogue, matrices


def get(name: str, seed: int = 0) -> Scenario:
    """The scenario of that name. Raises KeyError for a name that nothing has."""
    return catalogue.get(name, seed) if name in catalogue.CATALOGUE else matrices.get(name, seed)


def knows(name: str) -> bool:
    return name in catalogue.CATALOGUE or matrices.knows(name)


def told(name: str) -> str:
    """What it is, in one line. Raises KeyError."""
    known = catalogue.CATALOGUE.get(name)
    return matrices.told(name) if known is None else " ".join((known.__doc__ or "").split())

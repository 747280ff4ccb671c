"""Standard matrices: for each framework, few scenarios that hold every pair of values which it can express.

`matrices.json` has them, made by `python -m harness.matrices`. A scenario is called by its size and by its values, so
that one which several frameworks have is held against each other.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from adapters.contract import Scenario
from scenarios import files

FILE = Path(__file__).with_name("matrices.json")
RESPONSES = [5, 2, 9, 3, 7, 4]
"""Tokens; short, for there are many scenarios."""
STEPS = 2

Row = Mapping[str, Any]
"""Values by the dotted path of their field or group."""


@cache
def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return content


def sizes() -> list[str]:
    """smoke, nightly, full."""
    return list(_content())


def covering(size: str) -> Mapping[str, Any]:
    """By framework: `rows`, and how many `pairs` are held, `missed` or `refused`. Raises KeyError."""
    content: Mapping[str, Any] = _content()[size]
    return content


def names(size: str, framework: str) -> list[str]:
    """The scenarios of a framework; none for one that the matrix does not know. Raises KeyError for another size."""
    return [name(size, row) for row in covering(size).get(framework, {"rows": []})["rows"]]


def name(size: str, row: Row) -> str:
    return f"{size}-{hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:6]}"


@cache
def _rows() -> Mapping[str, Row]:
    return {name(size, row): row for size in _content() for of in covering(size).values() for row in of["rows"]}


def matching(pattern: str) -> list[str]:
    """Names that match a shell pattern."""
    return [scenario for scenario in _rows() if fnmatch.fnmatchcase(scenario, pattern)]


def knows(scenario: str) -> bool:
    return scenario in _rows()


def get(scenario: str, seed: int = 0) -> Scenario:
    """The scenario of that name. Raises KeyError."""
    return made(_rows()[scenario], scenario, seed)


def told(scenario: str) -> str:
    """Its values, in one line. Raises KeyError."""
    return ", ".join(f"{path} = {value!r}" for path, value in _rows()[scenario].items())


def made(row: Row, scenario: str, seed: int = 0) -> Scenario:
    """A scenario with these values. Raises ValueError, in one line, for values that do not fit together."""
    content: dict[str, Any] = {"responses": RESPONSES, "window": {"steps": STEPS}}
    for path, value in row.items():
        *groups, field = path.split(".")
        into = content
        for group in groups:
            into = into.setdefault(group, {})
        into[field] = value
    return files.made(content, scenario, seed)

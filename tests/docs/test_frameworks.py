"""docs/frameworks.md has a row for every shim that an adapter declares, and for no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "frameworks.md"


def declared(source: str) -> set[str]:
    """The names of the shims in a module: `Shim("name", ...)`, `stand_in("module", ...)`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = {(ast.unparse(call.func), call.args[0]) for call in calls if call.args}
    names = {"Shim": "{}", "stand_in": "stub-{}"}
    return {
        names[function].format(str(first.value).replace("_", "-").lower())
        for function, first in found
        if function in names and isinstance(first, ast.Constant)
    }


def test_every_shim_has_a_row_and_every_row_a_shim() -> None:
    section = PAGE.read_text().partition("## What is changed for a CPU")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    assert told == {name for file in (ROOT / "adapters").rglob("*.py") for name in declared(file.read_text())}


def test_a_shim_is_found_however_it_is_declared() -> None:
    assert declared('A = Shim("one", "why")\nB = stand_in(\n    "two_three", "why")\nC = Shim(name, reason)') == {
        "one",
        "stub-two-three",
    }

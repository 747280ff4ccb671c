"""docs/scenarios.md: a line for every scenario."""

from __future__ import annotations

import re
from pathlib import Path

import scenarios

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def test_every_scenario_has_a_line_and_nothing_else_has() -> None:
    lines = re.findall(r"^\| `((?:sft|dpo|grpo)-[^`]+)` \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert sorted(name for name, _, _ in lines) == sorted(scenarios.CATALOGUE)
    assert all(varies and catches for _, varies, catches in lines)

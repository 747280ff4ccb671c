"""docs/reports.md: a line for every format."""

from __future__ import annotations

import re
from pathlib import Path

from harness.commands.report import Format

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


def test_every_format_has_a_line_and_a_command() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE) == [f.value for f in Format]
    assert set(re.findall(r"--format (\w+)", text)) == {f.value for f in Format}

"""The committed table of faults is the catalogue's."""

from __future__ import annotations

from pathlib import Path

from harness.commands import fault_table

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == fault_table.markdown(), "run: lockstep list faults --markdown > docs/faults.md"

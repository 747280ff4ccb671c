"""The tables of docs/mismatch.md are rows of docs/mismatch.json, as its page shows them."""

from __future__ import annotations

from pathlib import Path

from harness.mismatch import record
from reports.mismatch import markdown

DOCS = Path(__file__).parents[2] / "docs"


def test_every_measured_row_is_one_of_the_record() -> None:
    page = (DOCS / "mismatch.md").read_text().partition("## What was measured")[2].partition("## Reading it")[0]
    rows = {line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| ---")}
    whole = markdown.page(record.read(DOCS / "mismatch.json")).splitlines()
    assert len(rows) > 25
    assert rows - set(whole) == set()

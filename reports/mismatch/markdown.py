"""A mismatch in Markdown."""

from __future__ import annotations

from harness.mismatch.record import Mismatch
from reports.markdown import escaped, fenced, listed, plain_table
from reports.mismatch import told


def page(found: Mismatch) -> str:
    """All of it."""
    parts = [f"# Mismatch: {escaped(told.summary(found))}", escaped(told.setting(found))]
    parts += [listed("Ways", told.ways(found)), listed("Not measured", told.unknown(found))]
    for title, head, rows in told.tables(found):
        parts += [f"## {escaped(title)}", plain_table(head, rows)]
    parts += [escaped(told.ESTIMATORS), fenced(found.command, "sh")]
    return "\n\n".join(filter(None, parts)) + "\n"

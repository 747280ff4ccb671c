"""The faces of objectives: Markdown, a terminal, and the page of the documentation."""

from __future__ import annotations

from io import StringIO

from syrupy.assertion import SnapshotAssertion

from harness.commands.output import Console
from harness.translating.table import objectives
from reports import objectives as report
from tests.harness.translating.test_table import RUN

FOUND = objectives(RUN)


def test_markdown(snapshot: SnapshotAssertion) -> None:
    assert report.markdown(FOUND) == snapshot


def test_at_a_terminal(snapshot: SnapshotAssertion) -> None:
    told = StringIO()
    report.show(FOUND, Console(file=told, width=120, highlight=False, markup=False))
    assert told.getvalue() == snapshot

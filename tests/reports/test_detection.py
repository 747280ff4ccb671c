"""What each matrix finds, as a page; the committed one is whole and is what was measured."""

from __future__ import annotations

import re

import pytest

from adapters.faults import CATALOGUE
from harness.detection import bugs, record, sets
from reports import detection
from scenarios import matrices
from tests.docs.commands import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "detection.md").read_text(encoding="utf-8")


def test_the_page_has_what_was_measured() -> None:
    assert detection.page(record.read(DOCS)) == PAGE, (
        "run: lockstep detect --out DIR, and copy both of its files to docs"
    )


def test_the_page_has_every_fault_every_bug_and_every_matrix() -> None:
    found = record.read(DOCS)
    assert [fault.name for fault in found.faults] == list(CATALOGUE)
    assert [bug.name for bug in found.bugs] == [bug.name for bug in bugs.load()]
    assert all(list(fault.outcomes) == sets.names() == list(found.sets) for fault in found.faults)


@pytest.mark.parametrize("size", matrices.sizes())
def test_the_cells_that_are_enough_are_cells_of_the_matrix(size: str) -> None:
    line = re.search(rf"^- {size}: (.*)$", PAGE, re.MULTILINE)
    assert line is not None
    chosen = re.findall(r"`([^`]*)`", line[1])
    assert set(chosen) <= set(matrices.names(size, "torch"))


def test_a_fault_that_acts_is_found() -> None:
    """Though not always by its own name, beside so many other values."""
    states = {outcome.state for fault in record.read(DOCS).faults for outcome in fault.outcomes.values()}
    assert states <= {"found", "named otherwise", "acts in none"}


def test_a_line_for_each_matrix_and_bug() -> None:
    found = record.read(DOCS)
    lines = detection.sentences(found)
    assert len(lines) == len(found.sets) + len(found.bugs)
    assert lines[0].startswith("smoke: ")

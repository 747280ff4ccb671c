from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.stock import record
from reports import stock
from tests.docs.commands import ROOT
from tests.harness.stock import made

RELEASES = ROOT / "docs" / "releases.md"
MEASURED = ROOT / "docs" / "stock.json"


def test_a_page(snapshot: SnapshotAssertion) -> None:
    assert stock.page(made.EVERYTHING) == snapshot


def test_the_number_in_a_sentence(snapshot: SnapshotAssertion) -> None:
    assert stock.sentences(made.EVERYTHING) == snapshot


def test_the_table_is_put_between_its_markers() -> None:
    page = f"before\n{stock.BEGIN}\nold\n{stock.END}\nafter\n"
    once = stock.put("new\n", page)
    assert once == f"before\n{stock.BEGIN}\n\nnew\n\n{stock.END}\nafter\n"
    assert stock.put("new\n", once) == once


@pytest.mark.parametrize("page", ["", stock.BEGIN, stock.END, f"{stock.END}\n{stock.BEGIN}"])
def test_a_page_without_a_place_is_told(page: str) -> None:
    with pytest.raises(stock.NoPlace, match="put them where the table shall stand"):
        stock.put("new", page)


def test_the_documentation_has_what_was_measured() -> None:
    """`lockstep stock --write docs/releases.md` wrote both."""
    page = RELEASES.read_text(encoding="utf-8")
    assert stock.put(stock.table(record.read(MEASURED)), page) == page

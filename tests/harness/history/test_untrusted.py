"""A history that another program wrote, or wrote into: it is told, or refused in a line."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history.changes import changes, lines
from harness.history.store import APPLICATION, BadHistory, History
from reports.html import history as history_page
from tests.harness.commands import made
from tests.harness.test_untrusted import SLOW
from tests.reports.made import HOSTILE

pytestmark = pytest.mark.fuzz

CELLS = st.one_of(
    HOSTILE.map(lambda text: text.encode(errors="replace").decode()),
    st.none(),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.binary(max_size=20),
    st.sampled_from(["[]", "{}", "[1]", '["x"]', '[{"cause": "x"}]', "2026-01-01T00:00:00", "9999-99-99", "fail"]),
)


@pytest.mark.slow
@SLOW
@given(data=st.data())
def test_rows_of_a_history(data: st.DataObject) -> None:
    """What another program wrote into it is refused, or can be told."""
    with tempfile.TemporaryDirectory() as folder:
        path = made.history(Path(folder) / "history.sqlite", "1.0")
        with closing(sqlite3.connect(path)) as connection:
            columns = [row[1] for row in connection.execute("pragma table_info(measurement)") if row[1] != "id"]
            column, value = data.draw(st.sampled_from(columns)), data.draw(CELLS)
            connection.execute("pragma writable_schema = 1")
            with suppress(sqlite3.IntegrityError):
                connection.execute(f"update measurement set {column} = ?", [value])
            connection.commit()
        try:
            found = History.open(path).all()
        except BadHistory:
            return
        told = lines(found)
        for line in told:
            changes(line)
        assert "<html" in history_page.page(told)


def test_a_history_of_another_program(tmp_path: Path) -> None:
    for number, statements in enumerate((
        ("create table measurement (id)", f"pragma application_id = {APPLICATION}", "pragma user_version = 1"),
        ("create table x (id)",),
        (f"pragma application_id = {APPLICATION}", "pragma user_version = 99", "create table x (id)"),
    )):  # fmt: skip
        path = tmp_path / f"{number}.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        with pytest.raises(BadHistory):
            History.open(path).add(made.cell("x"))

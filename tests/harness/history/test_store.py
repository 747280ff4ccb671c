"""The store of outcomes: what is added is found again by its key, whoever else writes, and damage is one line."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.history import store
from harness.history.store import BadHistory, History
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, FindingRecord


def cell(**changes: object) -> CellRecord:
    fields = {
        "framework": "torch",
        "version": "2.13.0",
        "scenario": "sft-ragged",
        "verdict": "pass",
        "environment": "e" * 16,
        "scenario_hash": "5" * 16,
    }
    return CellRecord.model_validate(fields | changes)


FAILED = cell(
    framework="deepspeed",
    version="0.18.9,transformers==4.57.3",
    seed=7,
    verdict="fail",
    findings=[FindingRecord(code=code, message="x") for code in ("weights.scale", "loss.value", "weights.scale")],
    diagnoses=[
        DiagnosisRecord(
            cause="gradient-scale", kind=kind, summary="1/4", explains=1.0, codes=["weights.scale"], evidence="0.25"
        )
        for kind in ("dropped-micro-batches: 1, 2 of 4", "gradient-scale: 1/GA")
    ],
    reason="known since long",
    command="lockstep run",
    seconds=1.25,
)


@pytest.fixture
def kept(tmp_path: Path) -> History:
    return History.open(tmp_path / "folder" / "history.sqlite")


def test_a_cell_comes_back_as_it_was(kept: History) -> None:
    before = datetime.now(UTC)
    kept.add(FAILED)
    (found,) = kept.find("5" * 16, "e" * 16)
    assert (found.framework, found.version, found.scenario) == (
        "deepspeed",
        "0.18.9,transformers==4.57.3",
        "sft-ragged@7",
    )
    assert (found.verdict, found.reason, found.command) == ("fail", "known since long", "lockstep run")
    assert found.causes == ("dropped-micro-batches: 1, 2 of 4", "gradient-scale: 1/GA")
    assert found.findings == ("weights.scale", "loss.value")
    assert found.seconds == 1.25
    assert before <= datetime.fromisoformat(found.measured) <= datetime.now(UTC)


def test_a_second_measurement_does_not_replace_the_first(kept: History) -> None:
    for verdict in ("pass", "fail", "pass"):
        kept.add(cell(verdict=verdict))
    assert [m.verdict for m in kept.find("5" * 16, "e" * 16)] == ["pass", "fail", "pass"]
    assert [m.verdict for m in History.open(kept.path).all()] == ["pass", "fail", "pass"]


@pytest.mark.parametrize("missing", ["environment", "scenario_hash"])
def test_a_cell_without_a_key_is_left_out(kept: History, missing: str) -> None:
    kept.add(cell(**{missing: None}))
    assert kept.all() == ()


def test_another_harness_measures_again(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add(cell())
    monkeypatch.setattr(store, "identity", lambda: "0.1.0+edited")
    assert kept.find("5" * 16, "e" * 16) == ()
    kept.add(cell(verdict="fail"))
    assert [m.verdict for m in kept.find("5" * 16, "e" * 16)] == ["fail"]
    assert [m.verdict for m in kept.all()] == ["pass", "fail"]


keys = st.sampled_from(["", "a", "b", "ab", "a' or 1 = 1 --", "ä"])
cells = st.builds(
    cell,
    scenario_hash=keys,
    environment=keys,
    framework=st.sampled_from(["torch", "trl"]),
    verdict=st.sampled_from(["pass", "fail", "accepted", "unknown", "unsupported"]),
    reason=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    seconds=st.none() | st.floats(0, 1e6),
)


@settings(max_examples=30, deadline=None)
@given(added=st.lists(cells, max_size=8))
def test_what_is_added_is_found_under_its_key_and_no_other(added: list[CellRecord]) -> None:
    def told(c: CellRecord) -> tuple[object, ...]:
        return c.framework, c.verdict, c.reason, c.seconds

    with tempfile.TemporaryDirectory() as folder:
        kept = History.open(Path(folder) / "history.sqlite")
        for one in added:
            kept.add(one)
        for key in {(c.scenario_hash, c.environment) for c in added} | {("a", "b"), ("b", "a"), ("new", "new")}:
            found = [(m.framework, m.verdict, m.reason, m.seconds) for m in kept.find(*key)]
            assert found == [told(c) for c in added if (c.scenario_hash, c.environment) == key]
        for name in ("torch", "trl"):
            assert [m.reason for m in kept.all(name)] == [c.reason for c in added if c.framework == name]
        assert [m.id for m in kept.all()] == sorted(m.id for m in kept.all())


WRITER = """
import sys
from pathlib import Path
from harness.history.store import History
from harness.verdicts.verdict import CellRecord
path, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.stdin.read()  # until all are started
for number in range(count):
    History.open(path).add(CellRecord(framework=who, version=str(number), scenario="sft-equal", verdict="pass",
                                      environment="e", scenario_hash="s"))
"""


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path, writers, count = tmp_path / "history.sqlite", 6, 25
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"writer-{number}", str(count)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(writers)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[1] for process in started] == [""] * writers
    kept = History.open(path)
    for number in range(writers):
        assert [m.version for m in kept.all(f"writer-{number}")] == [str(n) for n in range(count)]
    assert len(kept.find("s", "e")) == writers * count


def test_one_that_is_made_while_it_is_read_is_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, connect = tmp_path / "history.sqlite", sqlite3.connect
    other = threading.Thread(target=lambda: History.open(path))

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "user_version" in sql and not other.ident:
                other.start()
                other.join(0.3)  # where it has to wait for us, it has made nothing yet
            return super().execute(sql, *values)

    monkeypatch.setattr(store.sqlite3, "connect", partial(connect, factory=Interrupted))
    history = History.open(path)
    other.join()
    history.add(FAILED)
    assert len(history.all()) == 1


def not_a_database(path: Path) -> None:
    path.write_bytes(b"once upon a time" * 200)


def cut_short(path: Path) -> None:
    kept = History.open(path)
    for _ in range(50):
        kept.add(FAILED)
    path.write_bytes(path.read_bytes()[:9000])


def anothers(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table thesis (chapter text)")


def newer(path: Path) -> None:
    History.open(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {store.SCHEMA + 1}")


def table_gone(path: Path) -> None:
    History.open(path)
    with sqlite3.connect(path) as connection:
        connection.execute("drop table measurement")


def strange_row(path: Path) -> None:
    History.open(path).add(cell())
    with sqlite3.connect(path) as connection:
        connection.execute("update measurement set diagnoses = ?", ("[" * 100_000,))


def strange_verdict(path: Path) -> None:
    History.open(path).add(cell())
    with sqlite3.connect(path) as connection:
        connection.execute("update measurement set verdict = 'green'")


def a_folder(path: Path) -> None:
    path.mkdir()


DAMAGE = (not_a_database, cut_short, anothers, newer, table_gone, strange_row, strange_verdict, a_folder)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, damage) -> None:
    path = tmp_path / "history.sqlite"
    damage(path)
    with pytest.raises(BadHistory, match=r"\A[^\n]*history\.sqlite [^\n]*LOCKSTEP_HISTORY\Z") as raised:
        History.open(path).all()
    assert ("upgrade Lockstep" in str(raised.value)) == (damage is newer)


def test_a_file_in_the_place_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadHistory, match="LOCKSTEP_HISTORY"):
        History.open(tmp_path / "file" / "history.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_file_can_be_read(kept: History) -> None:
    kept.add(cell())
    kept.path.chmod(0o444)
    assert len(History.open(kept.path).all()) == 1
    with pytest.raises(BadHistory, match="readonly"):
        kept.add(cell())


def test_a_run_goes_on_over_a_history_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    not_a_database(path)
    before, said = path.read_bytes(), list[str]()
    keep = store.keeper(path, said.append)
    for _ in range(3):
        keep(cell())
    assert len(said) == 1
    assert "not a database" in said[0]
    assert path.read_bytes() == before


def test_a_run_keeps_its_cells(tmp_path: Path) -> None:
    said = list[str]()
    keep = store.keeper(tmp_path / "history.sqlite", said.append)
    keep(cell())
    keep(FAILED)
    assert [m.framework for m in History.open(tmp_path / "history.sqlite").all()] == ["torch", "deepspeed"]
    assert said == []


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, "/elsewhere/kept")
    assert store.default_path() == Path("/elsewhere/kept")
    monkeypatch.delenv(store.VARIABLE)
    assert store.default_path() == Path(".lockstep/history.sqlite")

"""Outcomes kept over runs, so that nothing is measured twice: one SQLite file.

SQLite, because it is in the standard library and lets many processes write one file: each waits for the one before.
With its plain journal, since the write-ahead one does not work on network file systems (sqlite.org/wal.html).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.history.identity import identity
from harness.verdicts.verdict import CellRecord, DiagnosisRecord, ReadOutcome

VARIABLE = "LOCKSTEP_HISTORY"
SCHEMA = 1
APPLICATION = 0x4C6F636B
"""`application_id` of the file, by which it is known from another program's."""
PATIENCE = 30.0
"""Seconds to wait for other processes' writes, which take milliseconds each."""

_TABLE = """
create table measurement (
    id integer primary key,
    scenario_hash text not null,
    environment text not null,
    harness text not null,
    framework text not null,
    version text not null,
    scenario text not null,
    verdict text not null,
    diagnoses text not null,
    findings text not null,
    reason text,
    command text,
    seconds real,
    measured text not null
)
"""
_INDEX = "create index measurement_key on measurement (scenario_hash, environment, harness)"


class BadHistory(Exception):
    """The history cannot be read or written; the message is one line with the remedy."""


class Measurement(BaseModel):
    """One cell that ran."""

    model_config = ConfigDict(frozen=True)

    id: int
    """Counts up with every measurement."""
    scenario_hash: str
    environment: str
    """`lock_hash` of the environment."""
    harness: str
    """`harness.history.identity.identity` of what judged it."""
    framework: str
    version: str
    """As in the cell: with the packages underneath that were asked for."""
    scenario: str
    """Name, with `@SEED` where the seed is not 0."""
    verdict: ReadOutcome
    diagnoses: tuple[DiagnosisRecord, ...]
    findings: tuple[str, ...]
    """Codes, each once."""
    reason: str | None
    command: str | None
    seconds: float | None
    measured: str
    """UTC, ISO 8601."""

    @property
    def causes(self) -> tuple[str, ...]:
        """`kind` of every diagnosis, in order."""
        return tuple(diagnosis.kind for diagnosis in self.diagnoses)


_CODES = TypeAdapter(tuple[str, ...])
_DIAGNOSES = TypeAdapter(tuple[DiagnosisRecord, ...])


def default_path() -> Path:
    """Where outcomes are kept: `$LOCKSTEP_HISTORY`, or `.lockstep/history.sqlite` in the current folder."""
    return Path(os.environ.get(VARIABLE) or ".lockstep/history.sqlite")


@dataclass(frozen=True)
class History:
    """A file of measurements. Its methods may be called from several threads and processes at once."""

    path: Path

    @staticmethod
    def open(path: Path) -> History:
        """The history in that file, which is made where there is none. Raises BadHistory, as all methods do."""
        history = History(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _bad(path, error.strerror or str(error)) from None
        with history._connection() as connection:
            _prepare(connection, path)
        return history

    def add(self, cell: CellRecord) -> None:
        """Keep a cell as measured now. One without environment or scenario hash has no key, and is left out."""
        if cell.environment is None or cell.scenario_hash is None:
            return
        fields = _fields(cell)
        names = ", ".join(fields)
        values = ", ".join(f":{name}" for name in fields)
        with self._connection() as connection:
            connection.execute(f"insert into measurement ({names}) values ({values})", fields)

    def find(self, scenario_hash: str, environment: str) -> tuple[Measurement, ...]:
        """What this very harness measured of that scenario in that environment, oldest first."""
        return self._select(
            "where scenario_hash = ? and environment = ? and harness = ?", scenario_hash, environment, _harness()
        )

    def all(self, framework: str | None = None) -> tuple[Measurement, ...]:
        """What any harness measured, of one framework or of all of them, oldest first."""
        return self._select("") if framework is None else self._select("where framework = ?", framework)

    def _select(self, where: str, *values: str) -> tuple[Measurement, ...]:
        with self._connection() as connection:
            rows = connection.execute(f"select * from measurement {where} order by id", values).fetchall()
        try:
            return tuple(map(_measurement, rows))
        except ValidationError as error:
            raise _bad(self.path, f"a row of it is damaged: {error.errors()[0]['msg']}") from None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """One for each call, since a connection serves no more than one thread."""
        try:
            connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise _bad(self.path, str(error)) from None


def keeper(path: Path, warn: Callable[[str], None]) -> Callable[[CellRecord], None]:
    """Adds cells to a history. A run is not lost over one that fails: that is told once, and no more is added."""
    guard = threading.Lock()
    failed = threading.Event()

    def keep(cell: CellRecord) -> None:
        with guard:
            if failed.is_set():
                return
            try:
                History.open(path).add(cell)
            except BadHistory as error:
                failed.set()
                warn(f"{error}; this run goes on, and its outcomes are not kept there")

    return keep


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table in an empty file; refuse what is no history, or one of a later schema."""
    connection.execute("begin")  # all that is read is of one moment, though another process may make the table now
    version = _version(connection, path)
    connection.execute("commit")
    if not version:
        connection.execute("begin immediate")
        if not _version(connection, path):  # another process was not quicker
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            connection.execute(f"pragma application_id = {APPLICATION}")
            connection.execute(f"pragma user_version = {SCHEMA}")
        connection.execute("commit")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The file's schema; 0 if it is empty."""
    (application,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not (application or version or tables):
        return 0
    if application != APPLICATION:
        raise _bad(path, "it is another program's")
    if version != SCHEMA:
        raise BadHistory(
            f"the history {path} is of schema {version}, and this Lockstep reads {SCHEMA}: upgrade Lockstep,"
            f" or name another file with {VARIABLE}"
        )
    return SCHEMA


def _harness() -> str:
    try:
        return identity()
    except OSError as error:
        raise BadHistory(f"{error.filename} cannot be read ({error.strerror}): check its permissions") from None


def _measurement(row: sqlite3.Row) -> Measurement:
    lists = {
        "findings": _CODES.validate_json(row["findings"]),
        "diagnoses": _DIAGNOSES.validate_json(row["diagnoses"]),
    }
    return Measurement.model_validate({**dict(row), **lists})


def _fields(cell: CellRecord) -> Mapping[str, str | float | None]:
    return {
        "scenario_hash": cell.scenario_hash,
        "environment": cell.environment,
        "harness": _harness(),
        "framework": cell.framework,
        "version": cell.version,
        "scenario": cell.label,
        "verdict": cell.verdict,
        "diagnoses": _DIAGNOSES.dump_json(tuple(cell.diagnoses), exclude_none=True).decode(),
        "findings": json.dumps(list(dict.fromkeys(f.code for f in cell.findings))),
        "reason": cell.reason,
        "command": cell.command,
        "seconds": cell.seconds,
        "measured": datetime.now(UTC).isoformat(),
    }


def _bad(path: Path, reason: str) -> BadHistory:
    said = " ".join(reason.split())
    return BadHistory(f"the history {path} cannot be used ({said}): move it away, or name another with {VARIABLE}")
